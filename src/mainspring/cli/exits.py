"""Exit codes, and which one an error leads to: the single table, told in docs/reference/cli.md and ``--help``."""

from __future__ import annotations

from enum import IntEnum

from mainspring import errors


class Exit(IntEnum):
    """What the number means to a script. 128 + n: ended by signal n."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 4
    CONFLICT = 5
    DENIED = 6
    UNREACHABLE = 7
    ENDED_BADLY = 8
    PARTIAL = 9
    UNHEALTHY = 10
    WARNINGS = 11
    INTERRUPTED = 130
    PIPE_CLOSED = 141


#: The first type that fits decides, so the more special ones come first.
_OF_ERROR: tuple[tuple[type[errors.MainspringError], Exit], ...] = (
    (errors.ValidationError, Exit.USAGE),
    (errors.SettingsError, Exit.USAGE),
    (errors.NotFoundError, Exit.NOT_FOUND),
    (errors.ConflictError, Exit.CONFLICT),
    (errors.EngineBusyError, Exit.CONFLICT),
    (errors.UnauthorizedError, Exit.DENIED),
    (errors.ForbiddenError, Exit.DENIED),
    (errors.StoreUnavailableError, Exit.UNREACHABLE),
    (errors.ServerUnreachableError, Exit.UNREACHABLE),
    (errors.ExecutionFailedError, Exit.ENDED_BADLY),
)


class DatabaseMissingError(errors.NotFoundError):
    """The SQLite file is not there, and the command is not one that makes it."""

    code = "no_database"

    def __init__(self, path: str) -> None:
        super().__init__("database", path)
        self.fix = "Give another one with --db, or make it with: mainspring migrate, or mainspring dev"


class UsageError(errors.MainspringError):
    """The command line itself cannot be understood."""

    code = "usage"

    def __init__(self, message: str, *, fix: str | None = None, field: str | None = None) -> None:
        self.fix, self.field = fix, field
        super().__init__(message)


def code_of(error: errors.MainspringError) -> Exit:
    """Return the exit code of an error.

    >>> code_of(errors.NotFoundError("job", "nightly"))
    <Exit.NOT_FOUND: 4>
    """
    if isinstance(error, UsageError):
        return Exit.USAGE
    return next((code for kind, code in _OF_ERROR if isinstance(error, kind)), Exit.FAILED)


def error_to_wire(error: errors.MainspringError) -> dict[str, str | None]:
    """Return an error as ``-o json`` shows it: code, field, text, message and fix; what it does not say is null."""
    return {
        "code": error.code,
        "field": getattr(error, "field", None) or None,
        "text": getattr(error, "text", None),
        "message": getattr(error, "problem", None) or str(error),
        "fix": getattr(error, "fix", None),
    }
