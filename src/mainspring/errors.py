"""Every error Mainspring raises on purpose. Catch the type; the message is for people, the fields for programs.

MainspringError
├── ValidationError            input that can never work: mend it and send it again
│   ├── ScheduleError          ... in a schedule, with the field, the text and the fix
│   ├── NothingToComeError     a new job whose schedule has no instant in the future
│   └── FilterError            ... in the filter of a list, with the place in it
├── UnauthorizedError          no key, or one that is unknown, revoked or expired
├── ForbiddenError             the key's role does not allow it; names what is missing
├── NotFoundError              no such job, execution, dead letter (or not on this platform)
├── ConflictError              the state does not allow it now
│   ├── OverlapConflictError   a trigger the job's overlap policy refuses; names the running execution
│   ├── RevisionConflictError  the job changed since it was read
│   └── IdempotencyConflictError  the same key with another body
├── LimitExceededError         a quota or size limit; nothing was written
├── LeaseLostError             the worker no longer owns the execution: drop the result
├── ExecutionFailedError       a waited-for execution ended other than in success
├── StoreError
│   ├── StoreUnavailableError  the database cannot be reached or refuses: retry later
│   └── SchemaError            the database's schema is not one this version can work with
├── ServerUnreachableError     a server gave no answer: retry later; ``sent`` says whether it may have been done
├── BusUnavailableError        the bus did not take an event: it is published again later
├── SealedError                a stored secret this process has no key for
├── EngineBusyError            another engine holds this SQLite file
└── SettingsError              a setting that cannot be used, with where it came from
"""

from __future__ import annotations

from functools import partial


class MainspringError(Exception):
    """The root. Catch it to catch everything Mainspring raises on purpose."""

    #: Stable word for programs: the ``code`` of an API problem, the ``error`` of CLI JSON.
    code = "error"


class ValidationError(MainspringError):
    """Input that cannot be accepted as it stands. Nothing was written; mend ``field`` and send it again."""

    code = "validation"

    def __init__(self, problem: str, *, field: str = "", fix: str | None = None) -> None:
        self.field, self.problem, self.fix = field, problem, fix
        where = f"{field}: " if field else ""
        super().__init__(f"{where}{problem}" + (f". {fix}" if fix else ""))


class ScheduleError(ValidationError):
    """A schedule that cannot be used. ``field`` says where, ``text`` what was found there, ``fix`` how to mend it."""

    code = "schedule"

    def __init__(self, field: str, text: str, problem: str, fix: str | None = None) -> None:
        self.text = text if len(text) <= 80 else text[:77] + "..."
        super().__init__(f"{problem} (got {self.text!r})", field=field, fix=fix)
        self.problem = problem

    def __reduce__(self) -> tuple[type[ScheduleError], tuple[str, str, str, str | None]]:
        return ScheduleError, (self.field, self.text, self.problem, self.fix)


class NothingToComeError(ValidationError):
    """A new job whose every instant has passed already. Give its schedule a time that is to come, or leave it out."""

    code = "nothing_to_come"

    def __init__(self) -> None:
        super().__init__("has no instant in the future", field="schedule", fix="Give it a time that is to come")


class FilterError(ValidationError):
    """A filter that cannot be used. ``at`` is the place in it, counted from 0; ``fix`` says how to mend it."""

    code = "filter"

    def __init__(self, problem: str, *, at: int = 0, fix: str | None = None, code: str = "") -> None:
        self.at = at
        if code:
            self.code = code
        super().__init__(f"{problem} (at character {at + 1})", field="filter", fix=fix)


class UnauthorizedError(MainspringError):
    """Nobody we know is asking: the key is missing, unknown, revoked or expired. Ask again with a key that holds."""

    code = "unauthorized"


class ForbiddenError(MainspringError):
    """Known, but not allowed to. ``scope`` is what the key lacks."""

    code = "forbidden"

    def __init__(self, scope: str, *, why: str = "") -> None:
        self.scope = scope
        super().__init__(f"this key lacks the scope {scope!r}" + (f": {why}" if why else ""))


class NotFoundError(MainspringError):
    """No such thing on this platform. A foreign one and an unknown one look the same."""

    code = "not_found"

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name
        super().__init__(f"no {kind} {name!r}")


class ConflictError(MainspringError):
    """The present state does not allow it. Read again, then decide."""

    code = "conflict"


class OverlapConflictError(ConflictError):
    """A trigger was refused by the job's overlap policy. ``running`` is the execution that holds the slot."""

    code = "overlap"

    def __init__(self, job: str, *, running: str, policy: str) -> None:
        self.job, self.running, self.policy = job, running, policy
        super().__init__(
            f"job {job!r} is active: execution {running} holds its slot and overlap is {policy!r}. "
            "Wait for it, cancel it, or trigger with another overlap"
        )


class RevisionConflictError(ConflictError):
    """The job changed since it was read. Read it again and repeat the change."""

    code = "revision"

    def __init__(self, job: str, *, expected: int, current: int) -> None:
        self.job, self.expected, self.current = job, expected, current
        super().__init__(f"job {job!r} is at revision {current}, not {expected}: read it again")


class IdempotencyConflictError(ConflictError):
    """The idempotency key was used before, with another body. Use a new key for new work."""

    code = "idempotency_key_reused"

    def __init__(self, key: str, *, execution_id: str) -> None:
        self.key, self.execution_id = key, execution_id
        super().__init__(
            f"idempotency key {key!r} belongs to execution {execution_id}, which was asked for differently"
        )


class LimitExceededError(MainspringError):
    """A quota or a size is exceeded. Nothing was written."""

    code = "limit"

    def __init__(self, what: str, *, found: int, allowed: int) -> None:
        self.what, self.found, self.allowed = what, found, allowed
        super().__init__(f"{what}: {found} is over the limit of {allowed}")


class LeaseLostError(MainspringError):
    """The worker no longer owns this execution. Drop the result: another worker has it."""

    code = "lease_lost"

    def __init__(self, execution_id: str, *, held: int, current: int | None) -> None:
        self.execution_id, self.held, self.current = execution_id, held, current
        super().__init__(f"execution {execution_id}: fence {held} is stale, the store holds {current}")


class ExecutionFailedError(MainspringError):
    """A waited-for execution ended as ``status``, other than success. ``error`` is what its handler reported."""

    code = "execution_failed"

    def __init__(self, execution_id: str, *, status: str, error: str | None) -> None:
        self.execution_id, self.status, self.error = execution_id, status, error
        super().__init__(f"execution {execution_id} ended as {status}" + (f": {error}" if error else ""))


class StoreError(MainspringError):
    """The store could not do what was asked."""

    code = "store"


class StoreUnavailableError(StoreError):
    """The database cannot be reached, or is full or locked. Nothing was written; try again later."""

    code = "store_unavailable"


class SchemaError(StoreError):
    """The database's schema is not one this version works with. The message names the command that mends it."""

    code = "schema"


class ServerUnreachableError(MainspringError):
    """The server gave no answer. ``sent`` is False where the request cannot have arrived: then nothing was done."""

    code = "server_unreachable"

    def __init__(self, server: str, why: str, *, sent: bool) -> None:
        self.server, self.why, self.sent = server, why, sent
        self.fix = "Check the address, and that `mainspring server` runs there"
        super().__init__(f"{server} gave no answer: {why}" + ("; it may have been done" if sent else ""))

    def __reduce__(self) -> tuple[partial[ServerUnreachableError], tuple[str, str]]:
        return partial(ServerUnreachableError, sent=self.sent), (self.server, self.why)


class BusUnavailableError(MainspringError):
    """The bus cannot be reached, or did not take what it was given. Nothing is lost: it is given again."""

    code = "bus_unavailable"


class SealedError(MainspringError):
    """A stored secret cannot be opened here: set `secret_keys` as where it was sealed. The message says which key."""

    code = "sealed"

    def __init__(self, why: str) -> None:
        super().__init__(f"a stored secret cannot be used: it is {why}")


class EngineBusyError(MainspringError):
    """Another process is the engine of this SQLite file. Use that one, or stop it first."""

    code = "engine_busy"

    def __init__(self, path: str, holder: str) -> None:
        self.path, self.holder = path, holder
        super().__init__(f"{path} already has an engine: {holder}. Stop it first, or use another database")


class SettingsError(MainspringError):
    """A setting that cannot be used. The message names it, where it came from, and what it should be."""

    code = "settings"
