"""From a document's bytes to the passages an index keeps: reading text and cutting it. Pure, standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterator

#: Characters of a passage, and how many of them the next one repeats when a paragraph had to be cut.
SIZE, OVERLAP = 1200, 100
#: Names everything that shapes a passage. Change it with the code below: every document is then indexed again.
PIPELINE = f"text-1 html-1 paragraphs-1:{SIZE}/{OVERLAP}"

_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
_HTML = (".html", ".htm", ".xhtml")
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9:-]{0,40}|[!?])")
#: Elements whose content nobody sees, and how they end.
_HIDDEN = {
    name: re.compile(rf"</{name}", re.IGNORECASE | re.ASCII) for name in ("script", "style", "template", "noscript")
}
_INLINE = frozenset({
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "em", "i", "kbd", "mark", "q", "s", "samp", "small", "span",
    "strong", "sub", "sup", "u", "var", "wbr",
})  # fmt: skip


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

    Made for text, not for fidelity, and linear in time: ``html.parser`` takes minutes over a few hundred kilobytes of
    ill-made tags, and holds up every thread of the process meanwhile.

    >>> text_of_html("<style>x</style><h1>Hi</h1><p>a &amp; b</p>")
    'Hi\n\na & b'
    """
    return _BLANK_LINE.sub("\n\n", "".join(_visible(markup))).strip()


def _visible(markup: str) -> Iterator[str]:
    at = 0
    while (opens := markup.find("<", at)) >= 0:
        yield _unescaped(markup[at:opens])
        if markup.startswith("<!--", opens):
            at = _after(markup, "-->", opens + 4)
        elif (tag := _TAG.match(markup, opens)) is not None:
            at = _after(markup, ">", tag.end())
            name = tag["name"].lower()
            if name in _HIDDEN and not tag["end"]:
                closes = _HIDDEN[name].search(markup, at)
                at = closes.start() if closes is not None else len(markup)
            if name not in _INLINE:
                yield "\n\n"
        else:  # a sign like any other
            yield "<"
            at = opens + 1
    yield _unescaped(markup[at:])


def _after(text: str, sign: str, start: int) -> int:
    found = text.find(sign, start)
    return found + len(sign) if found >= 0 else len(text)


def _unescaped(text: str) -> str:
    from html import unescape  # where there is a page to read: its table of names is larger than all of this

    try:
        return unescape(text)
    except ValueError:  # a character number of thousands of digits
        return text
