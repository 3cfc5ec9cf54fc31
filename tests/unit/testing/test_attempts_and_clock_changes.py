"""One attempt by itself, and what a schedule does when clocks change."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mainspring import Context, Event, Mainspring, Snooze
from mainspring.errors import ValidationError
from mainspring.testing import aperform, dst, perform

ms = Mainspring()


@ms.handler("charge", retry=3)
async def charge(ctx: Context, amount: int) -> dict[str, int]:
    ctx.log.info("charging")
    ctx.progress(1, 2)
    ctx.usage(cost=0.5)
    if ctx.attempt < 3:
        raise ConnectionError("closed")
    assert ctx.last_error is not None
    return {"amount": amount}


async def test_one_attempt_is_told_everything_about_itself() -> None:
    done = await aperform(charge, attempt=3, last_error={"type": "ConnectionError", "message": "closed"}, amount=5)
    assert done.succeeded
    assert done.result == {"amount": 5}
    assert done.logs == ("charging",)
    assert done.progress == {"current": 1, "total": 2, "message": ""}
    assert done.usage == {"cost": 0.5}
    assert done.context.max_attempts == 4


def test_a_failing_attempt_is_a_value() -> None:
    failed = perform(charge, amount=5)
    assert not failed.succeeded
    assert failed.retryable
    assert failed.error is not None
    assert failed.error["message"] == "closed"
    with pytest.raises(AssertionError, match="closed"):
        _ = failed.result


def test_arguments_a_handler_does_not_take_are_refused() -> None:
    with pytest.raises(ValidationError):
        perform(charge, amount="many")


def test_events_and_snoozes() -> None:
    @ms.handler("listen")
    def listen(event: Event) -> str:
        if event.type == "wait":
            raise Snooze(60)
        return str(event.data["n"])

    assert perform(listen, event={"id": "1", "type": "t", "data": {"n": 3}}).result == "3"
    assert perform(listen, event={"id": "1", "type": "wait"}).snoozed
    assert perform(listen).error is not None


def test_both_changes_of_a_year_with_their_notes() -> None:
    spring, autumn = dst({"cron": "*/30 1-3 * * *", "dst_fold": "both"}, "Europe/Berlin", 2026)
    assert spring.at == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert (spring.kind, autumn.kind) == ("gap", "fold")
    assert "02:00+02:00" not in spring.fires
    assert autumn.fires.count("02:30+02:00") == 1


def test_a_skipped_gap_is_said_and_a_handle_works_as_well() -> None:
    app = Mainspring()

    @app.cron("30 2 * * *", dst_gap="skip")
    def nightly() -> None: ...

    spring, autumn = dst(nightly, "America/New_York", 2026)
    assert spring.fires == ()
    assert "dst_gap" in spring.skipped[0]
    assert autumn.fires == ("02:30-05:00",)
    with pytest.raises(ValidationError):
        dst(app.handler("manual")(lambda: None), "Europe/Berlin", 2026)


@pytest.mark.parametrize(("zone", "changes"), [("UTC", 0), ("Asia/Tokyo", 0), ("Australia/Lord_Howe", 2)])
def test_zones_without_changes_and_with_odd_ones(zone: str, changes: int) -> None:
    assert len(dst("0 * * * *", zone, 2026)) == changes
