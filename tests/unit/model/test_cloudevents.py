"""Events as CloudEvents: valid by an independent reading of the specification, and read back as they were."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from mainspring.errors import ValidationError
from mainspring.model.cloudevents import encoded, from_cloudevent, to_cloudevent
from mainspring.model.events import Event, EventType
from mainspring.model.outcome import Failed, Succeeded
from mainspring.moves.enqueue import trigger
from mainspring.moves.relay import take_unpublished
from tests.unit.moves.conftest import Bench, bench

__all__ = ["bench"]

AT = datetime(2026, 3, 2, 9, 0, 1, 250, tzinfo=UTC)
WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=20)
NAMES = st.text("abcdefghij0123456789", min_size=1, max_size=20).filter(lambda name: name not in ("id", "data"))


def independent(event: Event) -> Any:
    return JSONFormat().read(CloudEvent, encoded(event))


@pytest.mark.parametrize("kind", list(EventType))
def test_each_of_our_events_is_a_cloud_event_by_an_independent_reading(kind: EventType) -> None:
    data = {"job": "tidy", "n": 1}
    found = independent(Event("01", kind, "acme", AT, subject="execution-1", data=data))
    assert found.get_type() == kind.value
    assert found.get_type().startswith("scheduler:")
    assert (found.get_id(), found.get_source(), found.get_subject()) == ("01", "mainspring", "execution-1")
    assert abs(found.get_time() - AT) < timedelta(milliseconds=1)
    assert found.get_datacontenttype() == "application/json"
    assert found.get_data() == data
    assert found.get_extension("platformid") == "acme"


@given(
    id=WORDS,
    source=WORDS,
    subject=st.none() | WORDS,
    # What cannot be stored never becomes an event: larger numbers are refused before.
    data=st.dictionaries(WORDS, st.integers(-(2**63), 2**64 - 1) | st.text() | st.none(), max_size=3),
    more=st.dictionaries(NAMES, st.integers(-5, 5) | WORDS | st.booleans(), max_size=3),
)
def test_what_goes_out_is_valid_and_comes_in_again_as_it_was(
    id: str, source: str, subject: str | None, data: Any, more: Any
) -> None:
    event = Event(id, "order.paid", "acme", AT, source, subject, data, more)
    found = independent(event)
    assert found.get_id() == id
    assert found.get_data() == data
    back = from_cloudevent(json.loads(encoded(event)), platform_id="acme", at=AT)
    time = back.extensions.pop("eventtime")  # type: ignore[attr-defined]
    assert datetime.fromisoformat(time) == AT
    assert back == event


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": None}, "specversion"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"source": None}, "source"),
        ({"type": []}, "type"),
        ({"subject": 5}, "subject"),
        ({"data": [1]}, "data"),
        ({"data": "text"}, "data"),
        ({"data_base64": "AAAA"}, "data_base64"),
        ({"datacontenttype": "text/xml"}, "datacontenttype"),
        ({"platformid": "other"}, "platformid"),
        ({"Upper": "x"}, "Upper"),
        ({"deep": {"a": 1}}, "deep"),
        ({"chaindepth": -1}, "chaindepth"),
        ({"chaindepth": "many"}, "chaindepth"),
        ({f"x{n}": n for n in range(40)}, "event"),
    ],
    ids=str,
)
def test_what_is_no_cloud_event_of_ours_is_refused_with_the_attribute(change: dict[str, Any], field: str) -> None:
    whole = to_cloudevent(Event("1", "order.paid", "acme", AT, "shop"))
    with pytest.raises(ValidationError) as caught:
        from_cloudevent({**whole, **change}, platform_id="acme", at=AT)
    assert caught.value.field == field


@pytest.mark.parametrize("wrong", [None, [], "{}", 5])
def test_what_is_no_object_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError, match="object"):
        from_cloudevent(wrong, platform_id="acme", at=AT)


def test_events_of_one_execution_are_numbered_without_a_gap(bench: Bench) -> None:
    bench.job(retry={"max_retries": 1, "retry_delay_ms": 0, "jitter": "none"}, overlap="allow_all")
    error = {"type": "ValueError", "message": "no", "traceback": ""}
    made = bench.do(lambda tx: trigger(tx, "default", "job", chain_depth=3))
    for _ in range(2):
        bench.settle(bench.claim()[0], Failed(error))
        bench.promote()
    fine = bench.do(lambda tx: trigger(tx, "default", "job"))
    bench.settle(bench.claim()[0], Succeeded())
    found = [to_cloudevent(event) for event in bench.do(take_unpublished)]
    of_failed = [
        (e["type"].rpartition(".")[2], e["sequence"], e["chaindepth"]) for e in found if e.get("subject") == made.id
    ]
    numbered = {"retry": "00000001", "failed": "00000002", "dead": "00000003"}
    assert sorted(of_failed) == sorted((kind, number, 4) for kind, number in numbered.items())
    (success,) = [e for e in found if e.get("subject") == fine.id]
    assert (success["sequence"], success["chaindepth"]) == ("00000001", 1)
