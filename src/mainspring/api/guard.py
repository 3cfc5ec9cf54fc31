"""Who asks, and may they: decided on the matched route, before a body is read or a query parsed.

Every route is of `GuardedRoute` and names its scope; one without cannot be made. A path that matches no route is
answered without telling anything.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from mainspring.api.problems import ApiError, of_error
from mainspring.api.rates import Rate, Rates
from mainspring.api.strict import read_json
from mainspring.control.keys import identify, used
from mainspring.control.platforms import existing_platform
from mainspring.errors import ForbiddenError, MainspringError, NotFoundError, UnauthorizedError
from mainspring.model.access import SCOPES, ApiKey
from mainspring.model.nearest import nearest
from mainspring.model.trace import enter, read_header
from mainspring.model.wire import NAME
from mainspring.ports.store import Store

#: Scopes of routes that need no key, and of those that need any key.
PUBLIC, ANY = "public", "any"
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """How often may be asked, and how long a key is believed without looking again, in seconds."""

    per_key: Rate = field(default_factory=lambda: Rate(1000, 2000))
    per_platform: Rate = field(default_factory=lambda: Rate(3000, 6000))
    per_stranger: Rate = field(default_factory=lambda: Rate(2, 20))
    believe: float = 2.0


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. ``platform_id`` None: may use every platform. ``id`` is "local" where no key has been made."""

    id: str
    name: str
    scopes: frozenset[str]
    platform_id: str | None = None
    key: ApiKey | None = None


_LOCAL = Principal("local", "local admin", frozenset(SCOPES))


class Guard:
    """Tells who asks and whether they may, for one server."""

    def __init__(
        self, store: Callable[[], Store], default_platform: str, time: Callable[[], float], settings: GuardSettings
    ) -> None:
        self._store, self._default, self._time, self._settings = store, default_platform, time, settings
        self._rates = Rates(time)
        self._believed: dict[bytes, tuple[float, ApiKey, datetime]] = {}
        self._platforms: set[str] = {default_platform}
        self._keys_made = False

    async def admit(self, request: Request, scope: str) -> Principal:
        """Return who asks. Raises what refuses them: no key, a wrong one, too many requests, a missing scope."""
        self._refuse_foreign_pages(request)
        principal = await self._principal(request)
        self._limit(f"key/{principal.id}", self._settings.per_key)
        if scope != ANY and scope not in principal.scopes:
            raise ForbiddenError(scope)
        return principal

    async def platform(self, principal: Principal, given: str) -> str:
        """Return the platform a path means. A foreign one and an unknown one look the same."""
        if given == "self":
            given = principal.platform_id or self._default
        if principal.platform_id is not None and given != principal.platform_id:
            raise NotFoundError("platform", given[:60])
        if given not in self._platforms:
            if not NAME.fullmatch(given):
                raise NotFoundError("platform", given[:60])
            await self._store().read(lambda tx: existing_platform(tx, given))
            self._platforms.add(given)
        self._limit(f"platform/{given}", self._settings.per_platform)
        return given

    async def any_key(self) -> bool:
        """Tell whether a key was ever made."""
        if not self._keys_made:
            self._keys_made = await self._store().read(lambda tx: tx.admin.any_key())
        return self._keys_made

    def forget(self) -> None:
        """Look again at every key: one was revoked or rotated here."""
        self._believed.clear()

    def count_stranger(self, request: Request) -> None:
        """Count somebody who could not say who they are; raises `ApiError` 429 for an address with too many."""
        self._limit(f"stranger/{_address(request)}", self._settings.per_stranger)

    async def _principal(self, request: Request) -> Principal:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and text.strip():
            key = await self._key(request, text.strip())
            return Principal(key.id, key.name or key.id, key.allowed, key.platform_id, key)
        if not await self.any_key() and _is_local(request):
            return _LOCAL
        self.count_stranger(request)
        raise UnauthorizedError("send an API key: Authorization: Bearer msk_...")

    async def _key(self, request: Request, text: str) -> ApiKey:
        seen = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=32).digest()
        believed = self._believed.get(seen)
        if believed is not None and self._time() - believed[0] < self._settings.believe:
            return believed[1]
        try:
            key, now = await identify(self._store(), text)
        except UnauthorizedError:
            self._believed.pop(seen, None)
            self.count_stranger(request)
            raise
        if len(self._believed) > 10_000:
            self._believed.clear()
        self._believed[seen] = (self._time(), key, now)
        await used(self._store(), key, now)
        return key

    def _limit(self, name: str, rate: Rate) -> None:
        verdict = self._rates.take(name, rate)
        if verdict.wait:
            wait = max(1, round(verdict.wait + 0.5))
            raise ApiError(429, "rate_limited", f"at most {rate.per_second:g} requests a second", headers={
                "Retry-After": str(wait), "RateLimit-Policy": f'"{name.partition("/")[0]}";q={rate.burst};w=1',
                "RateLimit": f'"{name.partition("/")[0]}";r=0;t={wait}',
            })  # fmt: skip

    def _refuse_foreign_pages(self, request: Request) -> None:
        """Refuse what another site's page sends through a browser: it could speak with a local admin's rights."""
        origin = request.headers.get("origin")
        if request.method not in _WRITES or origin is None:
            return
        if origin.partition("://")[2] != request.headers.get("host", ""):
            raise ForbiddenError("same-origin", why="pages of other sites may not change anything here")


class GuardedRoute(APIRoute):
    """A route that admits its caller, reads strict JSON, refuses unknown parameters, and tells errors as problems."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        scope = (self.openapi_extra or {}).get("x-scope")
        if scope not in (PUBLIC, ANY, *SCOPES):
            raise TypeError(f"route {path} names no scope")
        self.scope: str = scope
        self.known_parameters = _query_names(self.dependant)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with everything in front of it."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            request_id = request.scope.get("state", {}).get("request_id", "")
            enter(read_header(request.headers.get("traceparent")))  # what the request makes is part of its trace
            try:
                guard: Guard = request.app.state.guard
                if self.scope != PUBLIC:
                    request.state.principal = await guard.admit(request, self.scope)
                    given = request.path_params.get("platform_id")
                    if given is not None:
                        request.state.platform_id = await guard.platform(request.state.principal, given)
                self._check_parameters(request)
                strict = StrictRequest(request.scope, request.receive)
                if self.body_field is not None and await strict.body():
                    await strict.json()  # here, where what is wrong with it is told in our words
                elif request.method in _WRITES and (await strict.body()).strip() not in (b"", b"{}"):
                    raise ApiError(400, "unknown_field", "this request takes no body")
                return await inner(strict)
            except MainspringError as error:
                return of_error(error, instance=request.url.path, request_id=request_id)

        return handle

    def _check_parameters(self, request: Request) -> None:
        seen: set[str] = set()
        for name, _ in request.query_params.multi_items():
            if name in seen:
                raise ApiError(400, "validation", f"the parameter {name[:60]!r} is there twice", field=name[:60])
            seen.add(name)
            if name not in self.known_parameters:
                known = ", ".join(sorted(self.known_parameters)) or "none"
                near = nearest(name[:60], self.known_parameters)
                meant = f", did you mean {near[0]!r}?" if near else ""
                raise ApiError(400, "unknown_parameter", f"{name[:60]!r}{meant}; known: {known}", field=name[:60])


class StrictRequest(Request):
    """A request whose JSON is read by our own rules."""

    async def json(self) -> Any:
        """Return the body. Raises `ApiError`."""
        if not hasattr(self, "_json"):
            kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in ("application/json", "application/merge-patch+json", "application/cloudevents+json"):
                raise ApiError(415, "unsupported_media_type", f"{kind[:60] or 'nothing'!r}: send application/json")
            self._json = read_json(await self.body())
        return self._json


def _query_names(dependant: Any) -> frozenset[str]:
    """Return the names of every query parameter a route takes, fields of models and sub-dependencies included."""
    names: set[str] = set()
    for parameter in dependant.query_params:
        fields: Mapping[str, Any] = getattr(parameter.field_info.annotation, "model_fields", {})
        names |= {field.alias or name for name, field in fields.items()} or {parameter.alias}
    for inner in dependant.dependencies:
        names |= _query_names(inner)
    return frozenset(names)


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"


def _is_local(request: Request) -> bool:
    """Tell whether a request comes from this machine itself, and not through a proxy or a name somebody else owns."""
    if any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip")):
        return False
    host = request.headers.get("host", "").rsplit(":", 1)[0].strip("[]")
    return is_loopback(_address(request)) and (host == "localhost" or is_loopback(host))


def is_loopback(address: str) -> bool:
    """Tell whether an address is this machine's own.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("10.0.0.1"), is_loopback("example.org")
    (True, True, False, False)
    """
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
