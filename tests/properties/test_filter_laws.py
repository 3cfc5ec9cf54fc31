"""Laws of the filter language: whatever is typed is read or refused, and what is read means one thing."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.errors import FilterError
from mainspring.model.filters import And, Compare, Field, Kind, Node, Not, Or, parse_filter
from mainspring.model.matches import matches
from mainspring.model.nouns import LISTINGS, Noun, names_of

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
FIELDS = {
    "name": Field(Kind.TEXT, "name", headline=True),
    "status": Field(Kind.WORD, "status", words=("failed", "success")),
    "n": Field(Kind.NUMBER, "n"),
    "at": Field(Kind.INSTANT, "at"),
    "labels": Field(Kind.MAP, "labels"),
}
PIECES = st.sampled_from(
    ["name", "status", "n", "at", "labels", "labels.team", "AND", "OR", "NOT", "IN", "-", "(", ")", ",", "=", "!=", "<",
     "<=", ">", ">=", "~", "^=", ":", "null", "now", "-24h", "3", "-3.5", "failed", '"a b"', '"', "\\", "é", "\0",
     "x" * 99]
)  # fmt: skip

rows = st.builds(
    SimpleNamespace,
    name=st.none() | st.sampled_from(["nightly", "weekly"]),
    status=st.none() | st.sampled_from(["failed", "success"]),
    n=st.none() | st.integers(-5, 5),
    at=st.just(NOW),
    labels=st.dictionaries(st.sampled_from(["team", "m"]), st.sampled_from(["growth", "ops"])),
)
conditions = st.one_of(
    st.builds(lambda v: (f"n > {v}", Compare("n", ">", v)), st.integers(-5, 5)),
    st.builds(lambda v: (f"status = {v}", Compare("status", "=", v)), st.sampled_from(["failed", "success"])),
    st.builds(lambda v: (f'name ~ "{v}"', Compare("name", "~", v)), st.sampled_from(["night", "WEEK"])),
    st.just(("labels.team = growth", Compare("labels", "=", "growth", ("team",)))),
    st.just(("name = null", Compare("name", "=", None))),
)


def joined(parts: list[tuple[str, Node]], word: str, kind: Any) -> tuple[str, Node]:
    texts = [text if " AND " not in text and " OR " not in text else f"({text})" for text, _ in parts]
    return f" {word} ".join(texts), kind(tuple(node for _, node in parts))


trees = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.builds(lambda parts: joined(parts, "AND", And), st.lists(inner, min_size=2, max_size=3)),
        st.builds(lambda parts: joined(parts, "OR", Or), st.lists(inner, min_size=2, max_size=3)),
        st.builds(lambda one: (f"NOT ({one[0]})", Not(one[1])), inner),
    ),
    max_leaves=8,
)


@given(st.text(max_size=300) | st.lists(PIECES, max_size=40).map(" ".join) | st.lists(PIECES, max_size=40).map("".join))
def test_whatever_is_typed_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        node = parse_filter(text, FIELDS, now=NOW)
    except FilterError as error:
        assert 0 <= error.at <= len(text)
        assert error.problem
        return
    assert names_of(node) <= FIELDS.keys()


@given(trees, rows)
def test_a_filter_means_what_its_tree_means(tree: tuple[str, Node], row: Any) -> None:
    text, node = tree
    assert matches(parse_filter(text, FIELDS, now=NOW), row, FIELDS) == matches(node, row, FIELDS)


@given(trees, rows)
def test_a_filter_or_its_opposite_matches_and_never_both(tree: tuple[str, Node], row: Any) -> None:
    text, _ = tree
    whole = parse_filter(f"({text})", FIELDS, now=NOW)
    opposite = parse_filter(f"-({text})", FIELDS, now=NOW)
    assert matches(whole, row, FIELDS) != matches(opposite, row, FIELDS)


@given(st.sampled_from(list(Noun)), st.lists(PIECES, max_size=20).map(" ".join))
def test_every_list_reads_or_refuses_alike(noun: Noun, text: str) -> None:
    try:
        node = parse_filter(text, LISTINGS[noun].fields, now=NOW)
    except FilterError:
        return
    assert names_of(node) <= LISTINGS[noun].fields.keys()


def test_a_filter_is_bounded_in_length_depth_and_conditions() -> None:
    for text in ("x" * 4_001, "(" * 17 + "a" + ")" * 17, " ".join(["a"] * 101), f"n IN ({','.join('1' * 101)})"):
        try:
            parse_filter(text, FIELDS, now=NOW)
        except FilterError:
            continue
        raise AssertionError(text[:40])


@pytest.mark.parametrize("text", ["name = 'nightly'", "name = 'a b'", "name IN (nightly, 'weekly')", "n > '3'"])
def test_a_value_in_single_quotes_is_refused_and_not_looked_for_with_them(text: str) -> None:
    with pytest.raises(FilterError, match="double quotes") as refused:
        parse_filter(text, FIELDS, now=NOW)
    assert refused.value.at == text.index("'")


def test_a_single_quote_within_a_value_is_part_of_it() -> None:
    assert parse_filter("name = o'brien", FIELDS, now=NOW) == Compare("name", "=", "o'brien")
    assert parse_filter("name = \"'a'\"", FIELDS, now=NOW) == Compare("name", "=", "'a'")
