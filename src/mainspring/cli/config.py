"""`config`: each setting with where it came from."""

from __future__ import annotations

import dataclasses

from mainspring.cli.output import columns, print_lines, print_whole, say, table
from mainspring.cli.target import Target
from mainspring.cli.urls import database_url, masked
from mainspring.settings import FILE, PREFIX, load_settings, unread

#: Settings that are never shown.
SECRET = frozenset({"secret_keys"})


def config(*, target: Target | None = None) -> None:
    """Show each setting with where it came from: an argument, the environment, mainspring.toml, or the default."""
    target = target or Target()
    settings = load_settings(database_url=database_url(target.db), platform=target.platform)
    found = [
        {
            "name": field.name,
            "value": _shown(field.name, getattr(settings, field.name)),
            "origin": settings.origin[field.name],
            "environment": f"{PREFIX}{field.name.upper()}",
        }
        for field in dataclasses.fields(settings)
        if field.name != "origin"
    ]
    for variable, meant in unread().items():
        hint = f"; did you mean {meant}?" if meant is not None else ""
        say(f"warning: {variable} is no setting, and nothing reads it{hint}")
    if target.whole:
        print_whole(target.output, {"data": found})
    elif target.output == "jsonl":
        print_lines(found)
    else:
        rows = [[one["name"], one["value"], one["origin"], one["environment"]] for one in found]
        print(table(["SETTING", "VALUE", "FROM", f"ALSO SET BY, BEFORE {FILE}"], rows, columns()))


def _shown(name: str, value: object) -> object:
    return "***" if name in SECRET and value else masked(value)
