"""What is stored as an instant and was meant as so many seconds from then on, put right after the clock has stepped."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.tables import admissions, executions, is_, still, unended

_e, _a = executions.c, admissions.c
_now = bindparam("now", type_=sa.BigInteger)
_latest = bindparam("latest", type_=_e.lease_until.type)
_timed_out = _now + sa.type_coerce(_e.timeout, sa.BigInteger) * 1000
_by_then = sa.type_coerce(_e.deadline_at, sa.BigInteger)
_by = bindparam("by", type_=sa.BigInteger)  # microseconds
_retry_at = sa.type_coerce(_e.available_at, sa.BigInteger)


def _change(status: str, *found: Any, **values: Any) -> sa.Update:
    """Lock by id, as everybody does, then change."""
    rows = sa.select(_e.id).where(is_(_e.status, status), *found).order_by(_e.id).with_for_update()
    changed = executions.update().where(_e.id.in_(rows), unended, still(_e.status, status))
    return changed.values({_e[name]: value for name, value in values.items()})


#: An attempt whose time seems to be over has it once more, from now; its worker counts seconds, and ends it in time.
ATTEMPTS_FORWARD = _change("running", _by_then <= _now, deadline_at=_timed_out)

#: No lease lasts longer from now on than a lease, and no attempt longer than its timeout.
ATTEMPTS_BACK = _change(
    "running",
    sa.or_(_e.lease_until > _latest, _by_then > _timed_out),
    lease_until=sa.case((_e.lease_until > _latest, _latest), else_=_e.lease_until),
    deadline_at=sa.case((_by_then > _timed_out, _timed_out), else_=_by_then),
)

#: A retry planned by the old clock comes as long after the step as it was to come.
RETRIES_BACK = _change(
    "retrying",
    _e.available_at > bindparam("later", type_=_e.available_at.type),
    available_at=_retry_at - _by,
)

#: What a queue's rate has let through counts as if the clock had always been what it is.
ADMISSIONS_BACK = (
    admissions.update()
    .where(_a.at > bindparam("now", type_=_a.at.type))
    .values(at=sa.type_coerce(_a.at, sa.BigInteger) - _by)
)
