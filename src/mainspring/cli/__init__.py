"""The command line: parse, call ``control``, present. Modules load when their command is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code (see `mainspring.cli.exits`)."""
    import sys

    from mainspring.cli.commands import run

    sys.exit(run(sys.argv[1:] if arguments is None else arguments))
