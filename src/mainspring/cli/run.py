"""`dev`, `worker`, `dispatcher`, `all`: what runs an application's roles, each as a call of plain values.

Whoever makes the call needs nothing of this module any more, nor the parser it was written for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

from cyclopts import Parameter

from mainspring.cli.door import PORT, Door
from mainspring.cli.exits import UsageError
from mainspring.cli.roles import Level, RunRoles
from mainspring.cli.target import Target

LogLevel = Annotated[Level, Parameter(name="--log-level")]
HealthCheck = Annotated[bool, Parameter(name="--healthcheck", negative="", show_default=False)]
Api = Annotated[bool, Parameter(name="--api")]
#: Given by a supervisor to its children.
Parent = Annotated[int | None, Parameter(name="--parent", show=False)]

#: Most processes one supervisor keeps.
PROCESSES = 256


def dev(
    app: str | None = None,
    /,
    *,
    queues: str | None = None,
    api: Api = True,
    port: int | None = None,
    log_level: LogLevel = "info",
    target: Target | None = None,
) -> Callable[[], int]:
    """Run an app in this process, dispatcher, worker and server together, with a live view.

    SIGTERM or Ctrl-C drains and stops; a second one releases what still runs, which another start repeats.

    Args:
        app: module:attribute, or path/to/file.py:attribute. The attribute may be left out where it is called ms, app
            or mainspring. Without an app, jobs of the database run if their handlers are built in.
        queues: Queues with their slots, such as default:20,reports:2.
        api: Serve the REST API, to this machine alone.
        port: Port of the API; by default 8700, or any free one where that is taken.
        log_level: Python log records shown in the stream: this level and above.
    """
    target, door = target or Target(), Door(port=port, modest=port is None) if api else None
    return RunRoles("dev", target.wanted(app, queues), target.output, log_level, door=door)


def worker(
    app: str | None = None,
    /,
    *,
    queues: str | None = None,
    processes: int = 1,
    healthcheck: HealthCheck = False,
    log_level: LogLevel = "info",
    target: Target | None = None,
    parent: Parent = None,
) -> Callable[[], int]:
    """Run attempts only; somewhere else a dispatcher decides.

    A worker with too many handlers that would not stop drains, and starts itself again as a fresh process.

    Args:
        app: module:attribute, or path/to/file.py:attribute.
        queues: Queues with their slots, such as default:20,reports:2. Each process has these slots.
        processes: Run so many workers under a supervisor, which owns the signals and restarts a worker that dies.
        healthcheck: Run nothing: exit 0 if this host's worker is alive and claims its work, else 1. It needs no app
            where the settings name the database.
        log_level: Python log records shown in the stream: this level and above.
    """
    target = target or Target()
    if healthcheck:
        return _check("worker", app, target)
    if app is None:
        raise UsageError("worker needs an app, whose handlers it is to run", fix="mainspring worker module:app")
    if not 1 <= processes <= PROCESSES:
        raise UsageError(f"must be from 1 to {PROCESSES}, got {processes}", field="--processes")
    if processes > 1:
        from mainspring.cli.supervise import supervise, worker_command

        return partial(supervise, worker_command(app, queues, log_level, target), processes)
    wanted = target.wanted(app, queues)
    return RunRoles("worker", wanted, target.output, log_level, dispatcher=False, parent=parent)


def dispatcher(
    app: str | None = None,
    /,
    *,
    healthcheck: HealthCheck = False,
    log_level: LogLevel = "info",
    target: Target | None = None,
) -> Callable[[], int]:
    """Decide, promote, reap and relay only. Any number may run on one PostgreSQL database.

    Args:
        app: module:attribute, or path/to/file.py:attribute, whose jobs are registered at the start.
        healthcheck: Run nothing: exit 0 if this host's dispatcher is alive and nothing due waits long, else 1.
        log_level: Python log records shown in the stream: this level and above.
    """
    target = target or Target()
    if healthcheck:
        return _check("dispatcher", app, target)
    return RunRoles("dispatcher", target.wanted(app), target.output, log_level, worker=False)


def all_roles(
    app: str | None = None,
    /,
    *,
    queues: str | None = None,
    api: Api = True,
    host: str = "127.0.0.1",
    port: int = PORT,
    certificate: str | None = None,
    certificate_key: str | None = None,
    healthcheck: HealthCheck = False,
    log_level: LogLevel = "info",
    target: Target | None = None,
) -> Callable[[], int]:
    """Run every role in this process: a dispatcher, a worker and the server of the REST API. For small boxes.

    SIGTERM ends the API within a second, then the worker drains.

    Args:
        app: module:attribute, or path/to/file.py:attribute.
        queues: Queues with their slots, such as default:20,reports:2.
        api: Serve the REST API.
        host: Address the API listens on; another than this machine's own needs a key to have been made.
        port: Port the API listens on; 0 for any free one.
        certificate: PEM file of a certificate, to serve HTTPS.
        certificate_key: PEM file of its key.
        healthcheck: Run nothing: exit 0 if this host's dispatcher, worker and API are all well, else 1. It needs no app
            where the settings name the database.
        log_level: Python log records shown in the stream: this level and above.
    """
    target = target or Target()
    door = Door(host, port, certificate, certificate_key) if api else None
    if healthcheck:
        return _check("all", app, target, door)
    if app is None:
        raise UsageError("all needs an app, whose handlers it is to run", fix="mainspring all module:app")
    return RunRoles("all", target.wanted(app, queues), target.output, log_level, door=door)


def _check(role: str, app: str | None, target: Target, door: Door | None = None) -> Callable[[], int]:
    from mainspring.cli.healthcheck import healthcheck

    return partial(healthcheck, role, target.wanted(app), target.output, door)
