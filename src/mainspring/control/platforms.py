"""Platforms: made, described, listed; what one holds and uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mainspring.control.health import collect_metrics
from mainspring.control.service import PlatformService
from mainspring.errors import ConflictError, NotFoundError, ValidationError
from mainspring.model.admin import Platform
from mainspring.model.wire import instant, name, refuse_unknown
from mainspring.ports.store import Tx
from mainspring.schedule.zones import zone

#: The platform that is there without being made.
DEFAULT = "default"
#: Words that stand for a platform in a path and so can name none.
RESERVED = ("self",)


def make_platform(tx: Tx, platform_id: str) -> Platform:
    """Return a platform, made if it is new. Raises `ValidationError` for what can be no name."""
    found = tx.admin.platform(platform_id)
    if found is not None:
        return found
    name(platform_id, "platform")
    if platform_id in RESERVED:
        raise ValidationError(f"{platform_id!r} stands for the caller's own platform", field="platform")
    made = Platform(platform_id, created_at=tx.now)
    tx.admin.put_platform(made)
    return made


def existing_platform(tx: Tx, platform_id: str) -> Platform:
    """Return a platform; `NotFoundError` where nobody has made it."""
    found = tx.admin.platform(platform_id)
    if found is None and platform_id != DEFAULT:
        raise NotFoundError("platform", platform_id)
    return found or Platform(DEFAULT)


class PlatformAdmin(PlatformService):
    """Makes and changes the platform it is for."""

    async def create(self, fields: Mapping[str, Any]) -> Platform:
        """Make a platform from ``id``, ``timezone`` and ``description``."""
        refuse_unknown(fields, ("id", "timezone", "description"))

        def work(tx: Tx) -> Platform:
            if tx.admin.platform(self.platform_id) is not None:
                raise ConflictError(f"a platform {self.platform_id!r} exists already")
            made = _changed(make_platform(tx, self.platform_id), fields)
            tx.admin.put_platform(made)
            return made

        return await self._change("platform.create", self.platform_id, work, after=platform_to_wire)

    async def get(self) -> Platform:
        """Return the platform."""
        return await self._store.read(lambda tx: existing_platform(tx, self.platform_id))

    async def update(self, changes: Mapping[str, Any]) -> Platform:
        """Change the fields named; null takes them away."""
        refuse_unknown(changes, ("timezone", "description"))

        def work(tx: Tx) -> Platform:
            changed = _changed(existing_platform(tx, self.platform_id), changes)
            tx.admin.put_platform(changed)
            tx.wake("jobs")
            return changed

        return await self._change(
            "platform.update",
            self.platform_id,
            work,
            before=lambda tx: platform_to_wire(existing_platform(tx, self.platform_id)),
            after=platform_to_wire,
        )

    async def usage(self) -> dict[str, Any]:
        """Return what the platform holds now, beside the limits an admin has set."""

        def work(tx: Tx) -> dict[str, Any]:
            metrics = collect_metrics(tx, self.platform_id)
            limits = [limit for limit in tx.platforms.limits(self.platform_id) if limit.scope == "platform"]
            bounds = limits[0] if limits else None
            live: dict[str, int] = metrics["executions"]
            return {
                "platform_id": self.platform_id,
                "jobs": metrics["jobs"],
                "jobs_allowed": bounds.max_jobs if bounds else None,
                "pending": live.get("pending", 0),
                "pending_allowed": bounds.max_pending if bounds else None,
                "running": live.get("queued", 0) + live.get("running", 0),
                "running_allowed": bounds.max_running if bounds else None,
                "executions": live,
                "dead_letters": metrics["dead_letters"],
                "at_least": metrics["at_least"],
            }

        return await self._store.read(work)


def platform_to_wire(platform: Platform) -> dict[str, Any]:
    """Return a platform as plain data."""
    return {
        "id": platform.id,
        "timezone": platform.timezone,
        "description": platform.description or "",
        "created_at": instant(platform.created_at),
    }


def _changed(platform: Platform, fields: Mapping[str, Any]) -> Platform:
    timezone, description = fields.get("timezone", platform.timezone), fields.get("description", platform.description)
    if timezone is not None:
        zone(timezone)
    if description is not None and (not isinstance(description, str) or len(description) > 1000):
        _refuse("description")
    return replace(platform, timezone=timezone, description=description)


def _refuse(field: str) -> None:
    raise ValidationError("must be text of at most 1000 characters", field=field)
