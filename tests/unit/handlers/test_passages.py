from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.handlers.passages import NotTextError, decoded, passages, split, text_of_html

WORDS = st.lists(st.text("abc xyz.\n", max_size=40), max_size=30).map("\n\n".join)


@given(WORDS, st.integers(8, 60), st.integers(0, 7))
def test_no_passage_is_longer_than_the_size_and_no_word_is_lost(text: str, size: int, overlap: int) -> None:
    found = list(split(text, size, overlap))
    assert all(0 < len(passage) <= size for passage in found)
    kept = "".join("".join(found).split())
    # Overlap repeats characters; without it they are exactly the text's.
    if overlap == 0:
        assert kept == "".join(text.split())


def test_paragraphs_that_fit_stay_together() -> None:
    assert list(split("a\n\nb\n \nc" + "c" * 20, size=12, overlap=2)) == ["a\n\nb", "c" * 12, "c" * 11]


def test_a_long_paragraph_is_cut_at_a_blank_and_repeats_its_end() -> None:
    assert list(split("one two three four", size=10, overlap=3)) == ["one two", "two three", "ree four"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfhi", "hi"),
        ("hi".encode("utf-16"), "hi"),
        (b"caf\xe9", "caf\ufffd"),
        (b"", ""),
    ],
)
def test_text_is_read_by_its_mark(content: bytes, text: str) -> None:
    assert decoded(content) == text


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(NotTextError):
        passages("image.md", b"\x89PNG\x00")


def test_a_page_is_read_as_a_person_would() -> None:
    page = "<html><head><title>T</title><script>var x='<p>no'</script></head><body><p>a <b>b</b>c</p><div>d</div>"
    assert text_of_html(page) == "T\n\na bc\n\nd"
    assert passages("x.HTML", page.encode()) == ("T\n\na bc\n\nd",)


@given(st.text(max_size=300))
def test_no_markup_breaks_the_reader(markup: str) -> None:
    text_of_html(markup)


@pytest.mark.parametrize(
    "piece",
    [
        "<!",
        "<a ",
        "<",
        "<!--",
        "&",
        "<a b='",
        "</",
        "<![",
        "<?",
        "<script>",
        "<script></",
        "&#1",
        "\n",
        "\n \n",
        " ",
        "a\n",
    ],
)
def test_ill_made_pages_take_no_longer_than_others(piece: str) -> None:
    """html.parser takes twenty seconds over fifty kilobytes of ``<a``."""
    passages("x.html", (piece * (300_000 // len(piece))).encode())


def test_a_page_may_be_ill_made() -> None:
    assert text_of_html("a < b <i>c</i> <!-- <p>no</p> --> d<br>e <SCRIPT>no</ScRiPt >f <p") == "a < b c  d\n\ne \n\nf"
    assert text_of_html("<script>never closed <p>no") == ""
    assert text_of_html("&#" + "1" * 5000 + ";") == "&#" + "1" * 5000 + ";"
