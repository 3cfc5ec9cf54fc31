"""Seal stored secrets anew: after a key was set, or another one put in front."""

from __future__ import annotations

from dataclasses import replace

from mainspring.control.callbacks import NOTE
from mainspring.control.callbacks import PURPOSE as CALLBACK
from mainspring.control.webhooks import PURPOSE as WEBHOOK
from mainspring.model.webhook import Webhook
from mainspring.ports.sealing import Sealer
from mainspring.ports.store import Store, Tx

#: Platforms looked at in one transaction.
PLATFORMS = 100


async def reseal(store: Store, sealer: Sealer) -> int:
    """Seal every secret of the record with the present key; return how many were not. Raises `SealedError`.

    Done again it changes nothing. What cannot be opened stops it, and what was sealed before that stays so.
    """
    changed, after = await store.write(lambda tx: _reseal_note(tx, sealer)), ""
    while True:
        done, after = await store.write(lambda tx, after=after: _reseal_platforms(tx, sealer, after))  # type: ignore[misc]
        changed += done
        if not after:
            return changed


def _reseal_note(tx: Tx, sealer: Sealer) -> int:
    stored = tx.platforms.note(NOTE)
    if stored is None or sealer.is_current(stored):
        return 0
    tx.platforms.put_note(NOTE, sealer.seal(sealer.open(stored, CALLBACK), CALLBACK))
    return 1


def _reseal_platforms(tx: Tx, sealer: Sealer, after: str) -> tuple[int, str]:
    found = [platform.id for platform in tx.admin.platforms(after=after, limit=PLATFORMS)]
    changed = sum(_reseal_webhook(tx, sealer, webhook) for one in found for webhook in tx.webhooks.find(one))
    return changed, found[-1] if len(found) == PLATFORMS else ""


def _reseal_webhook(tx: Tx, sealer: Sealer, webhook: Webhook) -> int:
    held = tx.webhooks.get(webhook.platform_id, webhook.id, lock=True)
    if held is None:
        return 0
    old = [one for one in held.secrets if not sealer.is_current(str(one["secret"]))]
    if old:
        secrets = [{**one, "secret": _again(sealer, str(one["secret"]))} for one in held.secrets]
        tx.webhooks.save(replace(held, secrets=secrets))
    return len(old)


def _again(sealer: Sealer, stored: str) -> str:
    return stored if sealer.is_current(stored) else sealer.seal(sealer.open(stored, WEBHOOK), WEBHOOK)
