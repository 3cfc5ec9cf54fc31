"""The committed OpenAPI document, and the client's code made from it: written again, unless that would break clients.

python -m tests.openapi            write docs/reference/openapi.json and the client's code; refuse what breaks
python -m tests.openapi --break    write it all the same
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mainspring import Mainspring
from mainspring.api import create_app
from tests import client_code

COMMITTED = Path(__file__).parents[1] / "docs" / "reference" / "openapi.json"


def made() -> dict[str, Any]:
    """Return the document of the code as it is, to do with as one likes."""
    document: dict[str, Any] = json.loads(_made())
    return document


@cache
def _made() -> str:
    return json.dumps(create_app(Mainspring("sqlite:///none.db")).openapi())


def committed() -> dict[str, Any]:
    """Return the document as it was last written."""
    document: dict[str, Any] = json.loads(COMMITTED.read_text("utf-8"))
    return document


def broken(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a client of ``before`` would miss in ``after``."""
    for path, operations in before["paths"].items():
        for method, operation in operations.items():
            now = after["paths"].get(path, {}).get(method)
            if now is None:
                yield f"{method} {path} is gone"
            else:
                yield from (f"{method} {path} {what}" for what in _parameters(operation, now))
    for name, schema in before["components"]["schemas"].items():
        now = after["components"]["schemas"].get(name)
        if now is not None:
            yield from (f"{name}.{what}" for what in _fields(schema, now))


def _parameters(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    known = {(p["in"], p["name"]) for p in before.get("parameters", ())}
    there = {(p["in"], p["name"]): p for p in after.get("parameters", ())}
    yield from (f"no longer takes {name}" for _, name in sorted(known - there.keys()))
    needed = (key for key, parameter in there.items() if parameter.get("required") and key not in known)
    yield from (f"now needs {name}" for _, name in sorted(needed))


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    gone = before.get("properties", {}).keys() - after.get("properties", {}).keys()
    yield from (f"{field} is gone" for field in sorted(gone))
    was, now = set(before.get("required", ())), set(after.get("required", ()))
    if before.get("additionalProperties") is False:  # it comes in
        yield from (f"{field} is now needed" for field in sorted(now - was))
    else:
        yield from (f"{field} may now be missing" for field in sorted(was - now - gone))


def main(arguments: list[str]) -> int:
    """Write the document; return the exit code."""
    document = made()
    breaks = list(broken(committed(), document)) if COMMITTED.exists() else []
    for what in breaks:
        print(f"breaks clients: {what}")
    if breaks and "--break" not in arguments:
        print("nothing was written; --break writes it all the same")
        return 1
    COMMITTED.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    client_code.write(document)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
