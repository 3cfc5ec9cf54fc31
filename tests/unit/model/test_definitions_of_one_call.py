"""Many definitions read, and written, at once: as each is by itself."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.adapters.sql.types import Definition
from mainspring.errors import ValidationError
from mainspring.model.wire import DefinitionReader, definition_from_record, definition_from_wire
from tests.unit.model.test_definition_records import WHOLE

values = st.none() | st.booleans() | st.integers(0, 9) | st.floats(0, 9) | st.text(max_size=3) | st.just({"a": 1})
names = st.sampled_from(["a", "b", "no name", ""])
fields = st.fixed_dictionaries(
    {"type": st.sampled_from(["manual", "cron", "daily"])},
    optional={
        "name": names,
        "handler": st.sampled_from(["h", "kb:tidy", ""]),
        "payload": values,
        "schedule": st.sampled_from([None, {"cron": "* * * * *"}, {"cron": "0 9 * * *"}, "soon"]),
        "priority": st.sampled_from([1, 1.0, True, 10]),
        "color": values,
    },
)


def outcome(read: Any, wire: dict[str, Any]) -> Any:
    try:
        return read(wire)
    except ValidationError as error:
        return str(error)


@given(st.lists(fields, max_size=8))
def test_each_is_read_or_refused_as_by_itself(several: list[dict[str, Any]]) -> None:
    reader = DefinitionReader()
    for one in several:
        assert repr(outcome(reader.read, one)) == repr(outcome(definition_from_wire, one))


@pytest.mark.parametrize("wrong", [{"name": "no name"}, {"payload": [1]}])
def test_what_is_each_one_s_own_is_checked_each_time(wrong: dict[str, Any]) -> None:
    reader = DefinitionReader()
    reader.read(WHOLE)
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        reader.read({**WHOLE, **wrong})


def test_the_first_definition_shares_its_payload_with_those_after_it() -> None:
    reader, given = DefinitionReader(), {"to": "ada"}
    first, second = (reader.read({**WHOLE, "name": name, "payload": given}).payload for name in ("a", "b"))
    assert first is second


def test_a_payload_that_several_were_given_is_read_once_and_not_the_giver_s_any_more() -> None:
    reader, given, other = DefinitionReader(), {"to": "ada"}, {"to": "bob"}
    payloads = [
        reader.read({**WHOLE, "name": f"job-{number}", "payload": one}).payload
        for number, one in enumerate([other, given, given, other, given])
    ]
    given["to"] = "eve"
    assert payloads == [{"to": "bob"}, {"to": "ada"}, {"to": "ada"}, {"to": "bob"}, {"to": "ada"}]
    assert payloads[1] is payloads[2]


@given(st.lists(st.tuples(st.text(min_size=1, max_size=3), values), min_size=1, max_size=6), st.booleans())
def test_each_is_written_as_by_itself(several: list[tuple[str, Any]], at_once: bool) -> None:
    reader = DefinitionReader()
    read = reader.read if at_once else definition_from_wire
    definitions = [
        read({**WHOLE, "name": f"job-{number}", "payload": {key: value}, "queue": f"q{number % 2}"})
        for number, (key, value) in enumerate(several)
    ]
    kind = Definition()
    written = kind.encode_all(definitions)
    assert [orjson.loads(text) for text in written] == [orjson.loads(kind.encode(one)) for one in definitions]
    assert [definition_from_record(orjson.loads(text)) for text in written] == definitions
