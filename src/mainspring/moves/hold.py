"""Hold the fleet: nothing is decided, promoted or claimed until a person releases it. What runs, runs on.

A database restored from an older backup has forgotten what it decided since, and would decide it again. So an engine
that finds itself on another database than the one that was noted holds it at once, and asks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from mainspring.errors import ValidationError
from mainspring.model.wire import instant
from mainspring.ports.store import Tx

_HOLD, _IDENTITY = "hold", "database_identity"


@dataclass(frozen=True, slots=True)
class Hold:
    """Why, since when and by whom the fleet is held."""

    reason: str
    since: datetime
    actor: str


def held(tx: Tx) -> Hold | None:
    """Return the hold there is, None where the fleet may work."""
    text = tx.platforms.note(_HOLD)
    if not text:
        return None
    stored = json.loads(text)
    return Hold(stored["reason"], datetime.fromisoformat(stored["since"]), stored["actor"])


def hold(tx: Tx, reason: str, *, actor: str) -> Hold:
    """Hold the fleet; engines follow at once where wake-ups reach them, else within a heartbeat.

    Raises `ValidationError` without a reason.
    """
    if not reason.strip():
        raise ValidationError("say why the fleet is held", field="reason")
    made = Hold(reason.strip()[:500], tx.now, actor)
    tx.platforms.put_note(_HOLD, json.dumps({"reason": made.reason, "since": instant(made.since), "actor": actor}))
    tx.wake("hold")
    return made


def release(tx: Tx) -> Hold | None:
    """Let the fleet work again; what became due meanwhile is decided by each job's misfire policy. Returns the hold."""
    found = held(tx)
    if found is not None:
        tx.platforms.put_note(_HOLD, "")
        tx.wake("hold", "jobs", "pending", "queued")
    return found


def recognise(tx: Tx, identity: str | None) -> Hold | None:
    """Note which database this is, and hold the fleet where another one was noted; return the hold there is.

    ``identity`` None: the store has none that a copy would not have as well.
    """
    noted = tx.platforms.note(_IDENTITY)
    if identity is None or noted == identity:
        return held(tx)
    tx.platforms.put_note(_IDENTITY, identity)
    if noted is None:
        return held(tx)
    reason = "this database was restored or copied from another: what it decided since the copy it has forgotten"
    return held(tx) or hold(tx, reason, actor="engine")
