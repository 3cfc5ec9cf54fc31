"""`secrets`: the secrets the record keeps, sealed anew after a key was set or changed."""

from __future__ import annotations

from mainspring.cli.exits import UsageError
from mainspring.cli.output import print_one
from mainspring.cli.target import Opened, Target
from mainspring.control.sealing import reseal


def reseal_secrets(*, target: Target | None = None) -> None:
    """Seal every secret of the record with the first of `secret_keys`; done again it changes nothing."""
    target = target or Target()

    async def work(client: Opened) -> int:
        if not client.app.settings.secret_keys:
            raise UsageError("there is no key to seal with", fix="Set MAINSPRING_SECRET_KEYS=NAME:BASE64")
        return await reseal(client.app.store, client.app.sealer)

    changed = target.run_on_store(work, what="sealing secrets")
    print_one(target.output, {"sealed": changed}, f"{changed} secrets sealed anew")
