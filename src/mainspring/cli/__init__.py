"""The command line: parse, call ``control``, present. Modules load when their command is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code (see `mainspring.cli.exits`)."""
    import sys

    from mainspring.cli.commands import run

    code = run(sys.argv[1:] if arguments is None else arguments, ours=True)
    _leave_threads_behind(code)
    sys.exit(code)


def _leave_threads_behind(code: int) -> None:
    """End at once where a handler left a thread that will not end: the interpreter would wait for it for ever."""
    import os
    import sys
    import threading

    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
