"""From a document's bytes to the passages an index keeps: reading text and cutting it. Pure, standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

#: Characters of a passage, and how many of them the next one repeats when a paragraph had to be cut.
SIZE, OVERLAP = 1200, 100
#: Names everything that shapes a passage. Change it with the code below: every document is then indexed again.
PIPELINE = f"text-1 html-1 paragraphs-1:{SIZE}/{OVERLAP}"

_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
_HTML = (".html", ".htm", ".xhtml")


class NotTextError(ValueError):
    """The document is not text."""


def passages(document: str, content: bytes) -> tuple[str, ...]:
    r"""Return the passages of a document, in order; how it is read follows from the end of its name.

    Raises `NotTextError` for what is no text.

    >>> passages("a.md", b"# Title\n\nOne paragraph.")
    ('# Title\n\nOne paragraph.',)
    """
    text = decoded(content)
    if document.lower().endswith(_HTML):
        text = text_of_html(text)
    return tuple(split(text))


def decoded(content: bytes) -> str:
    """Return the text of UTF-8 or, by its mark, UTF-16; single wrong bytes are replaced."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    if b"\x00" in content:
        raise NotTextError("it is not text: it holds null characters")
    return content.decode("utf-8-sig", "replace")


def split(text: str, size: int = SIZE, overlap: int = OVERLAP) -> Iterator[str]:
    r"""Cut text at blank lines into passages of at most ``size`` characters.

    Paragraphs that fit are put together; one that does not is cut at a blank where there is one, and the next piece
    repeats the last ``overlap`` characters, so that no phrase is lost at a cut.

    >>> list(split("one\n\ntwo\n\nthree", size=9, overlap=2))
    ['one\n\ntwo', 'three']
    """
    together: list[str] = []
    length = 0
    for paragraph in _BLANK_LINE.split(text.replace("\r\n", "\n")):
        for piece in _pieces(paragraph.strip(), size, overlap):
            if together and length + 2 + len(piece) > size:
                yield "\n\n".join(together)
                together, length = [], 0
            length += len(piece) + (2 if together else 0)
            together.append(piece)
    if together:
        yield "\n\n".join(together)


def _pieces(paragraph: str, size: int, overlap: int) -> Iterator[str]:
    start = 0
    while len(paragraph) - start > size:
        blank = paragraph.rfind(" ", start + size // 2, start + size)
        end = blank if blank > 0 else start + size
        yield paragraph[start:end]
        start = max(end - overlap, start + 1)
    if start < len(paragraph):
        yield paragraph[start:]


def text_of_html(markup: str) -> str:
    r"""Return the text a reader of the page would see, its blocks apart by blank lines.

    >>> text_of_html("<style>x</style><h1>Hi</h1><p>a &amp; b</p>")
    'Hi\n\na & b'
    """
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    return _BLANK_LINE.sub("\n\n", "".join(reader.text)).strip()


class _Reader(HTMLParser):
    _hidden = frozenset({"script", "style", "template", "noscript"})
    _inline = frozenset({
        "a", "abbr", "b", "bdi", "bdo", "cite", "code", "em", "i", "kbd", "mark", "q", "s", "samp", "small", "span",
        "strong", "sub", "sup", "u", "var", "wbr",
    })  # fmt: skip

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._depth += tag in self._hidden
        if tag not in self._inline:
            self.text.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        self._depth = max(0, self._depth - (tag in self._hidden))
        if tag not in self._inline:
            self.text.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._depth:
            self.text.append(data)
