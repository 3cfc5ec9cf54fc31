"""A call in a process apart, of which nothing stays behind but what it returned.

A command line's parser, and what it reads from the commands' signatures, take 3 MiB for which a process that runs for
weeks has no use once it knows what is meant.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable
from typing import NoReturn, TypeVar

T = TypeVar("T")


def apart(call: Callable[[], T]) -> T | int:
    """Return what ``call`` returns, called in a forked process; where that dies instead, the exit code that says so.

    It is called here where processes cannot be forked, and where threads run already: a fork would have their locks
    and not them. What it returns has to be plain enough for pickle.

    >>> import operator
    >>> apart(lambda: operator.add(1, 2))
    3
    """
    if not hasattr(os, "fork") or threading.active_count() > 1:
        return call()
    reading, writing = os.pipe()
    try:
        child = os.fork()
    except OSError:  # no room for one more process
        os.close(reading)
        os.close(writing)
        return call()
    if child == 0:
        os.close(reading)
        _answer(call, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    code = _awaited(child)
    if not answer:
        return 128 - code if code < 0 else code
    returned: T = pickle.loads(answer)  # noqa: S301 - our own process wrote it
    return returned


def _awaited(child: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except ChildProcessError:  # whoever started us had children ignored, and so the system has forgotten how it ended
        return 1


def _answer(call: Callable[[], object], writing: int) -> NoReturn:
    """Call, write what that returns, and end without a step into what the process was forked from."""
    code = 1
    try:
        answer = pickle.dumps(call())
        sys.stdout.flush()
        with open(writing, "wb") as pipe:
            pipe.write(answer)
        code = 0
    except BrokenPipeError:
        pass  # nobody reads what was printed, or waits for the answer
    except SystemExit as end:  # a library's way to end quietly, where nobody reads on
        code = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)
