"""Every clock change of every zone of the zone data, 2024 to 2028: nothing lost, nothing doubled, nothing made up.

Zones with the same changes share one case, so the whole set takes seconds.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from importlib import resources

import pytest

from mainspring.schedule import compile_schedule
from mainspring.schedule.zones import zone, zone_names
from tests.properties.schedule.oracle import runs
from tests.properties.schedule.strategies import changes
from tests.properties.schedule.test_cron_laws import backward, forward

FIRST_YEAR, LAST_YEAR = 2024, 2028
EXPRESSIONS = (
    "*/15 * * * *",
    "7 * * * *",
    "*/20 */11 * * *",
    "30 0 * * *",
    "15,45 1 * * *",
    "30 2 * * *",
    "0 0 * * *",
    "59 23 * * *",
    "15 9 * * 0",
    "0 */4 * * 6",
    "30 0-4 * * *",
    "5 0,1,2,3 1,8,15,22,29 * 0",
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _cases() -> list[tuple[str, int]]:
    """(zone, change) for each change that no earlier zone has in the same form."""
    seen: set[tuple[int, int, int]] = set()
    found = []
    for name in sorted(zone_names()):
        place = zone(name)
        for at in changes(name, FIRST_YEAR, LAST_YEAR):
            form = (at, place.offset_at(at - 1), place.offset_at(at))
            if form not in seen:
                seen.add(form)
                found.append((name, at))
    return found


CASES = _cases()


def test_the_zone_data_has_the_changes_this_file_is_about() -> None:
    assert len(CASES) > 100
    steps = {abs(zone(name).offset_at(at) - zone(name).offset_at(at - 1)) for name, at in CASES}
    assert {1_800, 3_600, 7_200} <= steps, "Lord Howe moves by half an hour, Troll by two"


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_runs_around_every_change_are_those_of_the_oracle(text: str) -> None:
    for name, change in CASES:
        schedule = compile_schedule({"cron": text}, timezone=name)
        start = EPOCH + timedelta(seconds=change // 60 * 60) - timedelta(hours=4)
        end = start + timedelta(hours=16)
        wanted = runs(text, name, start, end)
        assert forward(schedule, start, end) == wanted, (name, change)
        assert backward(schedule, start, end) == wanted, (name, change)


@pytest.mark.parametrize("option", [{"dst_gap": "skip"}, {"dst_fold": "second"}, {"dst_fold": "both"}])
def test_the_other_choices_hold_around_every_change_too(option: dict[str, str]) -> None:
    gap, fold = option.get("dst_gap", "next_valid"), option.get("dst_fold", "first")
    for name, change in CASES:
        for text in ("15,45 1 * * *", "30 2 * * *", "30 0 * * *"):
            schedule = compile_schedule({"cron": text, **option}, timezone=name)
            start = EPOCH + timedelta(seconds=change // 60 * 60) - timedelta(hours=4)
            end = start + timedelta(hours=16)
            wanted = runs(text, name, start, end, gap=gap, fold=fold)
            assert forward(schedule, start, end) == wanted, (name, change)
            assert backward(schedule, start, end) == wanted, (name, change)


def test_every_adjusted_run_says_so_and_every_plain_one_is_on_its_wall_time() -> None:
    for name, change in CASES:
        schedule = compile_schedule({"cron": "15,45 0,1,2,3 * * *"}, timezone=name)
        start = EPOCH + timedelta(seconds=change) - timedelta(hours=5)
        for occurrence in schedule.iterate(start):
            if occurrence.at > start + timedelta(hours=10):
                break
            shown = schedule.local(occurrence.at).replace(tzinfo=None)
            assert occurrence.wall is not None
            assert (shown == occurrence.wall) or occurrence.notes[0].startswith("dst_gap"), (name, occurrence)


def _file(name: str) -> bytes:
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


def _changes_in_file(name: str) -> list[tuple[int, int]]:
    """(instant, offset from then on) as the zone file lists them: its 64-bit block, read here by hand."""
    data = _file(name)

    def counts(at: int) -> tuple[int, ...]:
        return struct.unpack(">6l", data[at + 20 : at + 44])

    utc, std, leap, times, types, chars = counts(0)
    block = 44 + times * 5 + types * 6 + chars + leap * 8 + std + utc
    utc, std, leap, times, types, chars = counts(block)
    at = block + 44
    instants = struct.unpack(f">{times}q", data[at : at + times * 8])
    kinds = data[at + times * 8 : at + times * 9]
    infos = at + times * 9
    offsets = [struct.unpack(">l", data[infos + 6 * kind : infos + 6 * kind + 4])[0] for kind in kinds]
    return list(zip(instants, offsets, strict=True))


def test_segments_have_every_change_the_zone_files_list_since_1970() -> None:
    """Changes are found by sampling once a day; the files say whether a spell shorter than that was missed."""
    by_content = {_file(name): name for name in sorted(zone_names(), reverse=True)}
    for name in by_content.values():
        place = zone(name)
        listed = [(at, offset) for at, offset in _changes_in_file(name) if 0 < at < 4_000_000_000]
        for at, offset in listed:
            assert place.offset_at(at) == offset, (name, at)
        wanted = {at for at, _ in listed if place.offset_at(at) != place.offset_at(at - 1)}
        found: set[int] = set()
        segment = place.segment_at(0)
        last = max(wanted, default=0)
        while segment.end <= last:
            earlier, segment = segment, place.segment_at(segment.end)
            if earlier.offset != segment.offset:
                found.add(segment.start)
        assert found == wanted, name
