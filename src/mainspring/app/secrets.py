"""Secrets a payload only refers to: looked up in the worker, by the handler, at the moment they are needed.

The record, the API, events and dashboards carry the reference. What it stands for is never stored, and kept out of what
the attempt logs and of the errors it ends with.
"""

from __future__ import annotations

import re
from pathlib import Path

from mainspring.engine.context import current
from mainspring.errors import NotFoundError, ValidationError
from mainspring.settings import load_settings, secret_variable

_REFERENCE = re.compile(r"secret://(env|file)/([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})")
#: The longest secret there may be, in bytes.
LIMIT = 65_536


def secret(reference: str) -> str:
    """Return what a reference stands for, within a handler; in whatever way the handler runs.

    ``secret://env/NAME`` is the worker's variable ``MAINSPRING_SECRET__NAME``, for executions of the worker's own
    platform alone: others must not reach it by naming it. ``secret://file/NAME`` is the file ``NAME`` in the folder of
    the execution's platform below `secrets_dir`; a line break at its end is no part of it.

    Raises:
        ValidationError: For what is no reference.
        NotFoundError: Where there is no such secret for this platform here. The message names the reference.
        LookupError: Outside of an attempt.

    >>> secret("hunter2")
    Traceback (most recent call last):
    mainspring.errors.ValidationError: is no reference to a secret. Write secret://env/NAME or secret://file/NAME
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ValidationError("is no reference to a secret", fix="Write secret://env/NAME or secret://file/NAME")
    context, settings = current(), load_settings()
    kind, name = match.groups()
    found = None
    if kind == "file" and settings.secrets_dir is not None:
        found = _read(Path(settings.secrets_dir) / context.platform_id / name)
    elif kind == "env" and context.platform_id == settings.platform:
        found = secret_variable(name)
    if not found:
        raise NotFoundError("secret", reference)
    context.hide(found)
    return found


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(LIMIT).decode("utf-8").removesuffix("\n").removesuffix("\r")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise NotFoundError("readable secret", path.name) from error
