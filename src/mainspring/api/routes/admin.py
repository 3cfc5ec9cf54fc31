"""What keepers of a platform look after: keys, the audit trail, usage, operations, and platforms themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from mainspring.api.call import Call, Changing, DryRun, IdempotencyKey, PageQuery, PlatformId, Reading, Reply
from mainspring.api.guard import Principal
from mainspring.api.routing import Routes
from mainspring.api.shapes import admin, base, work
from mainspring.api.show import as_utc, audit_row, operation_row
from mainspring.control.keys import KeyService, MadeKey, key_to_wire
from mainspring.control.operations import OperationService
from mainspring.control.platforms import PlatformAdmin, existing_platform, platform_to_wire
from mainspring.errors import ForbiddenError
from mainspring.model.nouns import Noun
from mainspring.ports.store import Tx

routes = Routes("admin", "/api/v1/platforms")

KeyId = Annotated[str, Path(min_length=1, max_length=64, description="A key's id; not its secret.")]
OperationId = Annotated[str, Path(min_length=1, max_length=64)]


# -- keys --------------------------------------------------------------------------------------------------------


@routes.on("GET", "/{platform_id}/keys", scope="keys:admin", answers=base.Page[admin.Key])
async def list_keys(call: Reading, query: PageQuery) -> Response:
    """List the platform's keys, newest first; never their secrets."""
    return await call.page(Noun.KEYS, query, lambda tx, rows: [key_to_wire(row) for row in rows])


@routes.on("POST", "/{platform_id}/keys", scope="keys:admin", answers=admin.MadeKey, status=201)
async def create_key(call: Changing, body: admin.NewKey) -> Response:
    """Make a key; its secret is in this answer and nowhere else."""
    return await _change_key(
        call,
        lambda service: service.create(
            role=body.role.value,
            name=body.name,
            scopes=body.scopes,
            expires_at=as_utc(body.expires_at),
            all_platforms=body.all_platforms,
        ),
        lambda made: _made(made, 201),
        keep=False,
    )


@routes.on("GET", "/{platform_id}/keys/{key_id}", scope="keys:admin", answers=admin.Key)
async def get_key(call: Reading, key_id: KeyId) -> Response:
    """Show a key; never its secret."""
    service = _everywhere(call, call.service(KeyService, call.state.store()))
    return call.answer(Reply(key_to_wire(await service.get(key_id))))


@routes.on("POST", "/{platform_id}/keys/{key_id}:rotate", scope="keys:admin", answers=admin.MadeKey)
async def rotate_key(call: Changing, key_id: KeyId, body: admin.Rotate | None = None) -> Response:
    """Give a key a new secret; the former one holds a while longer."""
    overlap = timedelta(milliseconds=(body or admin.Rotate()).overlap_ms)
    return await _change_key(
        call, lambda s: s.rotate(key_id, overlap=overlap), lambda made: _made(made, 200), keep=False
    )


@routes.on("DELETE", "/{platform_id}/keys/{key_id}", scope="keys:admin", answers=admin.Key)
async def revoke_key(call: Changing, key_id: KeyId) -> Response:
    """End a key at once."""
    return await _change_key(call, lambda s: s.revoke(key_id), lambda key: Reply(key_to_wire(key)))


async def _change_key(call: Call, act: Any, present: Any, *, keep: bool = True) -> Response:
    call.walled = not call.everywhere
    answer = await call.change(KeyService, lambda service: act(_everywhere(call, service)), present, keep=keep)
    call.state.guard.forget()
    return answer


def _everywhere(call: Call, service: KeyService) -> KeyService:
    service.everywhere = call.everywhere
    service.granted = call.principal.scopes
    return service


def _made(made: MadeKey, status: int) -> Reply:
    return Reply(key_to_wire(made.key) | {"secret": made.text}, status)


# -- audit, usage, operations ------------------------------------------------------------------------------------


@routes.on("GET", "/{platform_id}/audit", scope="audit:read", answers=base.Page[admin.AuditEntry])
async def list_audit(call: Reading, query: PageQuery) -> Response:
    """List changes, newest first: who did what to what."""
    return await call.page(Noun.AUDIT, query, lambda tx, rows: [audit_row(call, row) for row in rows])


@routes.on("GET", "/{platform_id}/usage", scope="metrics:read", answers=admin.Usage)
async def get_usage(call: Reading) -> Response:
    """Tell what the platform holds now, beside what it may."""
    from mainspring.api.call import EffectStore

    service = call.service(PlatformAdmin, EffectStore(call, lambda _: Reply(), ""))
    return call.answer(Reply(await service.usage()))


@routes.on("GET", "/{platform_id}/operations", scope="jobs:read", answers=base.Page[work.Operation])
async def list_operations(call: Reading, query: PageQuery) -> Response:
    """List bulk operations, newest first."""
    return await call.page(Noun.OPERATIONS, query, lambda tx, rows: [operation_row(call, row) for row in rows])


@routes.on("GET", "/{platform_id}/operations/{operation_id}", scope="jobs:read", answers=work.Operation)
async def get_operation(call: Reading, operation_id: OperationId) -> Response:
    """Show a bulk operation and how far it is."""
    service = call.service(OperationService, call.state.store())
    return call.answer(Reply(operation_row(call, await service.get(operation_id))))


@routes.on("POST", "/{platform_id}/operations/{operation_id}:pause", scope="jobs:run", answers=work.Operation)
async def pause_operation(call: Changing, operation_id: OperationId) -> Response:
    """Do no further step until it is resumed."""
    return await _turn(call, lambda service: service.pause(operation_id))


@routes.on("POST", "/{platform_id}/operations/{operation_id}:resume", scope="jobs:run", answers=work.Operation)
async def resume_operation(call: Changing, operation_id: OperationId) -> Response:
    """Go on with a paused operation."""
    return await _turn(call, lambda service: service.resume(operation_id))


@routes.on("POST", "/{platform_id}/operations/{operation_id}:cancel", scope="jobs:run", answers=work.Operation)
async def cancel_operation(call: Changing, operation_id: OperationId) -> Response:
    """End an operation where it is; what it has done stays done."""
    return await _turn(call, lambda service: service.cancel(operation_id))


async def _turn(call: Call, act: Any) -> Response:
    return await call.change(OperationService, act, lambda operation: Reply(operation_row(call, operation)))


# -- platforms ---------------------------------------------------------------------------------------------------


@routes.on("GET", "", scope="any", answers=base.Listed[admin.Platform])
async def list_platforms(
    request: Request,
    after: Annotated[str, Query(max_length=128)] = "",
    page_size: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    """List the platforms the caller may use, by id."""
    principal: Principal = request.state.principal
    state = request.app.state.api

    def found(tx: Tx) -> list[dict[str, Any]]:
        if principal.platform_id is not None:
            return [platform_to_wire(existing_platform(tx, principal.platform_id))]
        return [platform_to_wire(one) for one in tx.admin.platforms(after=after, limit=page_size)]

    call = Call(request, state, principal, principal.platform_id or state.default_platform)
    return call.answer(Reply({"data": await state.store().read(found)}))


@routes.on("POST", "", scope="platforms:admin", answers=admin.Platform, status=201)
async def create_platform(
    request: Request, body: admin.NewPlatform, dry_run: DryRun = False, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make a platform; for keys of every platform only."""
    principal: Principal = request.state.principal
    if principal.platform_id is not None:
        raise ForbiddenError("platforms:admin", why="this key is for one platform")
    call = Call(request, request.app.state.api, principal, body.id)
    call.dry_run, call.idempotency_key = dry_run, idempotency_key
    return await call.change(
        PlatformAdmin,
        lambda service: service.create(body.model_dump(exclude_unset=True)),
        lambda made: Reply(platform_to_wire(made), 201),
    )


@routes.on("GET", "/{platform_id}", scope="any", answers=admin.Platform)
async def get_platform(call: Reading) -> Response:
    """Show a platform."""
    found = await call.read(lambda tx: platform_to_wire(existing_platform(tx, call.platform_id)))
    return call.answer(Reply(found))


@routes.on("PATCH", "/{platform_id}", scope="platforms:admin", answers=admin.Platform)
async def update_platform(call: Changing, body: admin.PlatformChanges) -> Response:
    """Change a platform's zone or description, as a merge patch."""
    return await call.change(
        PlatformAdmin,
        lambda service: service.update(body.model_dump(exclude_unset=True)),
        lambda done: Reply(platform_to_wire(done)),
    )


__all__ = ["PlatformId", "routes"]
