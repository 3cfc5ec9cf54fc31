"""Values made by the hundred are the same values, whatever they leave to their class."""

from dataclasses import dataclass, replace

from mainspring.model.value import Value


@dataclass(frozen=True)
class Visit(Value):
    guest: str
    nights: int = 1
    room: str | None = None


def test_values_that_share_fields_equal_those_made_one_by_one() -> None:
    shared = Visit.sharing({"nights": 1, "room": None}, ["guest"], [["Ada"], ["Bo"]])
    assert shared == [Visit("Ada"), Visit("Bo")]
    assert repr(shared[0]) == repr(Visit("Ada"))
    assert hash(shared[1]) == hash(Visit("Bo"))


def test_what_is_as_by_default_is_left_to_the_class_and_can_be_changed() -> None:
    (visit,) = Visit.sharing({"nights": 1, "room": "9"}, ["guest"], [["Ada"]])
    assert vars(visit) == {"guest": "Ada", "room": "9"}
    assert visit.changed(nights=3, room=None) == replace(visit, nights=3, room=None) == Visit("Ada", 3)
