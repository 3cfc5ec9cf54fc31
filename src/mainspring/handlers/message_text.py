"""Filling in a message: ``$name`` is replaced by a value, and nothing else is: no expressions and no code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Template

from mainspring.model.outcome import Fail

#: Characters of a template, of one value and of the finished text.
TEMPLATE_LIMIT, VALUE_LIMIT, TEXT_LIMIT = 16_384, 4_096, 65_536
#: Values one message may name.
VALUES = 100

Value = str | int | float | bool | None


def fill(field: str, template: str, values: Mapping[str, Value]) -> str:
    """Return the text with ``$name`` and ``${name}`` replaced; ``$$`` is a dollar sign.

    Raises `Fail` for a name without a value, a stray ``$``, and a text over the limits.

    >>> fill("text", "$job: $status, 5 $$", {"job": "report", "status": "failed"})
    'report: failed, 5 $'
    """
    if len(template) > TEMPLATE_LIMIT:
        raise Fail(f"{field} has {len(template)} characters, over the limit of {TEMPLATE_LIMIT}")
    shown = {name: _shown(value) for name, value in values.items()}
    length = len(template)
    for match in Template.pattern.finditer(template):
        name = match["named"] or match["braced"]
        if name is not None and name not in shown:
            raise Fail(f"{field} names ${name[:100]}, which has no value. Known: {', '.join(sorted(shown)[:30])}")
        if match["invalid"] is not None:
            raise Fail(f"{field} has a $ at character {match.start() + 1} that starts no name. Write $$ for the sign")
        # Counted before it is built: a short template that repeats a long value must not fill the memory.
        length += len(shown[name]) if name is not None else 0
        if length > TEXT_LIMIT:
            raise Fail(f"{field} grows over the limit of {TEXT_LIMIT} characters")
    return Template(template).substitute(shown)


def one_line(text: str, limit: int = 200) -> str:
    r"""Return text fit for a subject: one line, without control characters.

    >>> one_line("a\r\nBcc: b")
    'a Bcc: b'
    """
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).split())[:limit]


def _shown(value: Value) -> str:
    return "" if value is None else str(value)[:VALUE_LIMIT]
