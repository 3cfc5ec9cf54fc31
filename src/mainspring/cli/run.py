"""`dev`, `worker`, `dispatcher`, `all`: run an application's roles in this process, and show what happens."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from mainspring.cli.exits import Exit, UsageError
from mainspring.cli.loading import load_app
from mainspring.cli.serving import PORT, Door
from mainspring.cli.target import Target, database_url

if TYPE_CHECKING:
    from mainspring.app import Mainspring
    from mainspring.app.wiring import Roles

Level = Literal["debug", "info", "warning", "error"]
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
) -> int:
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
    door = Door(port=port, modest=port is None) if api else None
    return _run("dev", app, _roles(), queues, log_level, target or Target(), door=door)


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
) -> int:
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
        return _healthcheck("worker", app, target)
    if app is None:
        raise UsageError("worker needs an app, whose handlers it is to run", fix="mainspring worker module:app")
    if not 1 <= processes <= PROCESSES:
        raise UsageError(f"must be from 1 to {PROCESSES}, got {processes}", field="--processes")
    if processes > 1:
        return _supervise(processes, app, queues, log_level, target)
    return _run("worker", app, _roles(dispatcher=False), queues, log_level, target, parent=parent)


def dispatcher(
    app: str | None = None,
    /,
    *,
    healthcheck: HealthCheck = False,
    log_level: LogLevel = "info",
    target: Target | None = None,
) -> int:
    """Decide, promote, reap and relay only. Any number may run on one PostgreSQL database.

    Args:
        app: module:attribute, or path/to/file.py:attribute, whose jobs are registered at the start.
        healthcheck: Run nothing: exit 0 if this host's dispatcher is alive and nothing due waits long, else 1.
        log_level: Python log records shown in the stream: this level and above.
    """
    target = target or Target()
    if healthcheck:
        return _healthcheck("dispatcher", app, target)
    return _run("dispatcher", app, _roles(worker=False), None, log_level, target)


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
) -> int:
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
        return _healthcheck("all", app, target, door)
    if app is None:
        raise UsageError("all needs an app, whose handlers it is to run", fix="mainspring all module:app")
    return _run("all", app, _roles(), queues, log_level, target, door=door)


def _roles(*, dispatcher: bool = True, worker: bool = True) -> Roles:
    from mainspring.app.wiring import Roles

    return Roles(dispatcher=dispatcher, worker=worker)


def _run(
    command: str,
    where: str | None,
    roles: Roles,
    queues: str | None,
    level: Level,
    target: Target,
    *,
    parent: int | None = None,
    door: Door | None = None,
) -> int:
    from mainspring.app.loop import run_loop
    from mainspring.cli.live import view_for
    from mainspring.cli.process import Process, Role

    app = configured(load_app(where) if where is not None else target.app(), target, queues)
    # Several processes on one terminal would write across each other's lower lines.
    view = view_for(target.output, color=not _no_color(), live=parent is None)
    role = Role(command, where, app, roles, patient=command != "dev", parent=parent, door=door)
    run_loop(Process(role, view).run(level))
    return Exit.DONE


def _supervise(processes: int, app: str, queues: str | None, level: Level, target: Target) -> int:
    import asyncio

    from mainspring.cli.supervise import Supervisor, worker_command
    from mainspring.settings import parse_queues

    if queues is not None:
        parse_queues(queues)
    return asyncio.run(Supervisor(worker_command(app, queues, level, target), processes).run())


def _healthcheck(role: str, where: str | None, target: Target, door: Door | None = None) -> int:
    from mainspring.cli.healthcheck import healthcheck

    app = configured(load_app(where) if where is not None else target.app(), target, None)
    return healthcheck(role, app, target.output, door)


def configured(app: Mainspring, target: Target, queues: str | None) -> Mainspring:
    """Return the app with the command line's settings over its own."""
    from mainspring.settings import parse_queues

    given = {"database_url": database_url(target.db), "platform": target.platform, "queues": queues}
    over: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if over:
        parse_queues(over.get("queues", app.settings.queues))
        origin = {**app.settings.origin, **dict.fromkeys(over, "argument")}
        app.settings = dataclasses.replace(app.settings, **over, origin=origin)
        app.platform_id = app.settings.platform
    return app


def _no_color() -> bool:
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
