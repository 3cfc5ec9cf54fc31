"""A batch sends once what its rows share."""

from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from mainspring.adapters.sql.batches import Field, pack, shape
from mainspring.adapters.sql.dialect import ROWS
from mainspring.adapters.sql.types import ID, Definition, Json
from mainspring.model.value import Value
from mainspring.model.wire import DefinitionReader

WANTED = (Field("id", ID), Field("data", Json()))


def sent(*data: Any) -> tuple[list[str], list[list[Any]]]:
    """Return the names of what is shared by rows with these data, and the rest of the rows."""
    packed = pack(WANTED, [(str(number), value) for number, value in enumerate(data)])
    return [field.name for field in packed.shared], orjson.loads(packed.parameters[ROWS])


def test_json_that_is_stored_alike_is_sent_once_whoever_holds_it() -> None:
    assert sent({"text": "x"}, {"text": "x"}) == (["data"], [["0"], ["1"]])
    assert pack(WANTED, [("0", {}), ("1", {})]).parameters["data_"] == {}


def test_json_that_is_equal_but_not_stored_alike_stays_with_its_row() -> None:
    assert sent({"n": 1}, {"n": True}) == ([], [["0", '{"n":1}'], ["1", '{"n":true}']])
    assert sent([1.0], [1]) == ([], [["0", "[1.0]"], ["1", "[1]"]])


def test_no_data_in_some_rows_stays_with_them() -> None:
    assert sent(None, {}) == ([], [["0", None], ["1", "{}"]])


def test_of_definitions_each_row_has_what_is_its_own_and_what_all_share_is_sent_once() -> None:
    read, kind = DefinitionReader().read, Definition()
    shared = {"type": "manual", "handler": "tidy", "labels": {"team": "a"}}
    definitions = [read({"name": name, "payload": {"room": name}, **shared}) for name in ("attic", "cellar")]
    packed = pack([Field("definition", kind)], [(one,) for one in definitions])
    assert [field.name for field in packed.shared] == [field.name for field in packed.varying] == ["definition"]
    beginnings = [row[0] for row in orjson.loads(packed.parameters[ROWS])]
    assert beginnings[0] == '{"name":"attic","payload":{"room":"attic"}'
    whole = [orjson.loads(beginning + packed.parameters["definition_"]) for beginning in beginnings]
    assert whole == [orjson.loads(kind.encode(one)) for one in definitions]


def test_of_objects_each_row_has_what_is_its_own_and_what_all_share_is_sent_once() -> None:
    told = [{"id": one, "handler": "tidy", "attempt": 1, "at": "08:00"} for one in "abc"]
    packed = pack(WANTED, list(zip("123", told, strict=True)))
    assert [field.name for field in packed.shared] == ["data"]
    beginnings = [row[1] for row in orjson.loads(packed.parameters[ROWS])]
    assert beginnings == ['{"id":"a"', '{"id":"b"', '{"id":"c"']
    assert [orjson.loads(one + packed.parameters["data_"]) for one in beginnings] == told


def test_objects_share_nothing_but_an_ending_that_all_have_in_the_same_order_and_written_alike() -> None:
    cases: list[list[Any]] = [
        [{"id": 1, "n": 1}, {"id": 2, "n": True}, {"id": 3, "n": 1}],
        [{"id": 1, "n": 1.0}, {"id": 2, "n": 1}],
        [{"id": "a", "n": 1}, {"id": "b"}, {"id": "c", "n": 1}],
        [{"n": 1}, {"n": 1, "id": "b"}],
        [{"n": "1", "id": "a"}, {"n": "1", "id": "b"}],
        [{"id": "a", "n": "1", "m": "2"}, {"id": "b", "m": "2", "n": "1"}],
        [{"id": "a", "n": "1"}, None, {"id": "b", "n": "1"}],
        [{"id": "a", "n": "1"}, ["n"], {"id": "b", "n": "1"}],
    ]
    for told in cases:
        shared, rows = sent(*told)
        assert shared == []
        assert [value and list(orjson.loads(value)) for _, value in rows] == [one and list(one) for one in told]
        assert [value and orjson.loads(value) for _, value in rows] == told


def test_values_read_together_are_written_whole_also_what_they_leave_to_their_class() -> None:
    @dataclass(frozen=True)
    class Visit(Value):
        guest: str
        nights: int = 1
        room: str | None = None

    columns = (sa.Column("guest", sa.Text), sa.Column("nights", sa.Integer), sa.Column("room", sa.Text))
    visits, rows = shape(Visit, sa.Table("visits", sa.MetaData(), *columns)), [("Ada", 1, "9"), ("Bo", 1, None)]
    assert [visits.values_of(one) for one in visits.rows(rows)] == rows
    assert visits.values_of(Visit("Cy", 2)) == ("Cy", 2, None)
