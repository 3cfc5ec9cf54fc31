"""Lists: their options as one filter, and their tables where there is little room."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mainspring.cli.exits import UsageError
from mainspring.cli.filters import compared, contains, equals, narrowed, one_of, quoted
from mainspring.cli.output import table
from mainspring.cli.pages import Listed
from mainspring.model.filters import Compare, parse_filter
from mainspring.model.nouns import LISTINGS, Noun

NOW = datetime(2026, 3, 1, tzinfo=UTC)
JOBS = LISTINGS[Noun.JOBS].fields


@pytest.mark.parametrize(
    "text", ["nightly", "kb:reindex", 'say "hi"', "two words", "or", "NOT", "a\\b", "(x)", "-a", "*"]
)
def test_a_text_comes_back_out_of_the_filter_it_was_put_into(text: str) -> None:
    assert parse_filter(f"name = {quoted(text)}", JOBS, now=NOW) == Compare("name", "=", text)


def test_options_hold_besides_the_filter_given() -> None:
    query = Listed(filter="name = a OR name = b", sort="-name", limit=3).query(equals("status", "active"), None)
    assert query["filter"] == "(name = a OR name = b) AND status = active"
    assert (query["sort"], query["page_size"]) == ("-name", 3)
    parse_filter(str(query["filter"]), JOBS, now=NOW)


def test_without_options_there_is_no_filter() -> None:
    assert Listed().query(None, None)["filter"] is None
    assert narrowed(None, equals("a", None), one_of("b", []), compared("c", ">=", None), contains("d", None)) is None


def test_a_page_has_from_1_to_500_rows() -> None:
    for limit in (0, 501):
        with pytest.raises(UsageError, match="from 1 to 500"):
            Listed(limit=limit).query()


def test_a_table_too_wide_for_the_terminal_is_told_row_by_row() -> None:
    rows: list[list[str | None]] = [["nightly", "active", None], ["weekly", "paused", "stocktaking"]]
    wide = table(["NAME", "STATUS", "NOTE"], rows)
    assert table(["NAME", "STATUS", "NOTE"], rows, width=80) == wide
    narrow = table(["NAME", "STATUS", "NOTE"], rows, width=20)
    assert narrow == "NAME    nightly\nSTATUS  active\n\nNAME    weekly\nSTATUS  paused\nNOTE    stocktaking"
    assert max(map(len, narrow.splitlines())) <= 20
