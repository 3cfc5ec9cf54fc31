"""The known names most like one that is not known, for whoever wrote that to choose from."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, most: int = 1, likeness: float = 0.6) -> list[str]:
    """Return up to ``most`` of the known names, the likest first; none below a ``likeness`` from 0 to 1.

    >>> nearest("retires", ["queue", "retries"])
    ['retries']
    """
    import difflib  # only here: most processes never meet a name they do not know

    return difflib.get_close_matches(name, list(known), n=most, cutoff=likeness)
