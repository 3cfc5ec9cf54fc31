"""The application factory: routes, guard, border and streams of one server, around an open application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mainspring._version import __version__
from mainspring.api.border import Border, BorderSettings
from mainspring.api.call import ApiState
from mainspring.api.document import document
from mainspring.api.guard import Guard, GuardSettings
from mainspring.api.problems import CODES, of_error, problem
from mainspring.api.requests import Requests
from mainspring.api.routes import (
    admin,
    dead_letters,
    events,
    executions,
    figures,
    fleet,
    jobs,
    record,
    service,
    streams,
    webhooks,
)
from mainspring.api.streams import Streams
from mainspring.app.application import Application
from mainspring.app.exposition import Exposition
from mainspring.app.wiring import webhook_sender
from mainspring.control.callbacks import make_secret
from mainspring.control.operation_steps import run_step
from mainspring.control.platforms import make_platform
from mainspring.engine.service import BACKOFF_CAP
from mainspring.errors import MainspringError, StoreUnavailableError
from mainspring.model.log_events import about
from mainspring.ports.store import Store, Tx, Work

logger = logging.getLogger("mainspring")

_ROUTES = (service, jobs, executions, dead_letters, events, fleet, figures, record, streams, webhooks, admin)


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """How a server guards itself."""

    guard: GuardSettings = field(default_factory=GuardSettings)
    border: BorderSettings = field(default_factory=BorderSettings)


def create_app(app: Application, settings: ApiSettings | None = None) -> FastAPI:
    """Return the REST API of an application as an ASGI application; it opens and closes the store itself.

    Mount it, or serve it with `mainspring server`. Nothing is asked of the database before the first request.
    """
    settings = settings or ApiSettings()

    @contextlib.asynccontextmanager
    async def running(api: FastAPI) -> AsyncIterator[None]:
        async with _running(app, api):
            yield

    api = FastAPI(
        title="Mainspring",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=running,
    )
    api.state.random = app.parts.random
    api.state.guard = Guard(lambda: app.store, app.platform_id, _now, settings.guard)
    sender = cache(lambda: webhook_sender(app.settings, app.parts))
    api.state.api = ApiState(
        lambda: app.store,
        app.schedules,
        api.state.guard,
        app.platform_id,
        lambda: app.sealer,
        sender,
        app.settings.health(),
        lambda: app.tracing,
        lambda: app.transport,
    )
    api.state.streams = Streams(lambda: app.store, app.wakeups)
    api.state.exposition = Exposition(app, fleet=True, loop=lambda: api.state.loop)
    api.state.loop = None
    api.state.requests = Requests(lambda: api.state.streams.open)
    for module in _ROUTES:
        # As they stand, and not by `include_router`: that makes every route again for each application, at its first
        # request, which takes most of a second; and an application adds nothing to them.
        api.router.routes.extend(module.routes.routes)
    api.add_middleware(
        Border,
        settings=settings.border,
        requests=api.state.requests,
        stopping=api.state.streams.stopping.is_set,
    )
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(MainspringError, _ours)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(Exception, _defect)
    api.openapi = lambda: document(api)  # type: ignore[method-assign]
    return api


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _written(store: Store, work: Work[None], stopping: asyncio.Event) -> None:
    """Write once the store can be written to: an engine this is served beside does not end because a disk is full."""
    pause = 0.5
    while True:
        try:
            await store.write(work)
            return
        except StoreUnavailableError as error:
            if stopping.is_set():
                raise
            logger.warning("the API waits for the store, trying again in %g s: %s", pause, error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stopping.wait()
        pause = min(2 * pause, BACKOFF_CAP)


@contextlib.asynccontextmanager
async def _running(app: Application, api: FastAPI) -> AsyncIterator[None]:
    """Open the store, and do the steps of bulk operations, while the server runs."""
    ours = not app.is_open
    store = await app.open()

    def first(tx: Tx) -> None:
        make_platform(tx, app.platform_id)
        make_secret(tx, app.sealer)

    await _written(store, first, api.state.streams.stopping)
    working = asyncio.create_task(_operate(app), name="mainspring:operations")
    app.figures.append(api.state.requests.figures)
    api.state.loop = asyncio.get_running_loop()
    try:
        yield
    finally:
        app.figures.remove(api.state.requests.figures)
        await api.state.streams.close()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        if ours:
            await app.close()


async def _operate(app: Application) -> None:
    ear = app.wakeups.listen("operations")
    try:
        while True:
            try:
                while await run_step(app.store, app.schedules):  # noqa: ASYNC110 - each turn is a step
                    await asyncio.sleep(0)  # requests have their turn between two steps
            except MainspringError as error:
                logger.warning("operations: a step failed and is tried again: %s", error)
            except Exception:
                logger.exception("operations: a step failed and is tried again")
            await ear.wait(1.0)
    finally:
        ear.close()


# -- errors ------------------------------------------------------------------------------------------------------


def _request_id(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, MainspringError)
    return of_error(error, instance=request.url.path, request_id=_request_id(request))


async def _invalid(request: Request, error: Exception) -> Response:
    """Tell what of a request does not have its shape."""
    assert isinstance(error, RequestValidationError)
    found = [_where(one) for one in error.errors()[:20]]
    unknown = any(one["code"] == "unknown_field" for one in found)
    malformed = any(one["type"] in ("json_invalid", "missing") and one["loc"] == ("body",) for one in error.errors())
    status, code = (400, "unknown_field") if unknown else (422, "validation")
    if malformed:
        status, code = 400, "malformed_json"
    detail = f"{found[0]['pointer'] or 'the request'}: {found[0]['message']}" if found else CODES[code]
    return problem(status, code, detail, instance=request.url.path, request_id=_request_id(request), errors=found)


def _where(error: Any) -> dict[str, Any]:
    place = [str(part) for part in error["loc"]]
    pointer = "".join(f"/{part}" for part in (place[1:] if place[:1] == ["body"] else place))
    code = "unknown_field" if error["type"] == "extra_forbidden" else "validation"
    return {"pointer": pointer[:200], "code": code, "message": str(error["msg"])[:300], "hint": None}


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "error")
    return problem(
        error.status_code,
        code,
        CODES[code],
        instance=request.url.path,
        request_id=_request_id(request),
        headers=dict(error.headers or {}),
    )


async def _defect(request: Request, error: Exception) -> Response:
    """Log a defect once, with the request's id; tell nothing of it."""
    request_id = _request_id(request)
    failed = about("request.failed", method=request.method, request_id=request_id)
    logger.error("request %s %s failed", request.method, request_id, exc_info=error, extra=failed)
    return problem(500, "internal", CODES["internal"], instance=request.url.path, request_id=request_id)
