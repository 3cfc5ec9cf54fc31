"""Posts to webhooks people subscribe: CloudEvents, signed by Standard Webhooks, through the one guarded client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import orjson

from mainspring.adapters.notify_webhook.channel import wish
from mainspring.adapters.notify_webhook.signature import key_of, signed
from mainspring.errors import SealedError
from mainspring.model.cloudevents import MEDIA_TYPE
from mainspring.model.trace import read_header
from mainspring.model.webhook import Answer, Reception
from mainspring.ports.clock import Clock
from mainspring.ports.http import HttpClient, OutboundFailedError, OutboundRefusedError
from mainspring.ports.sealing import Sealer, Unsealed


class SignedSender:
    """`WebhookSender`. ``http`` is asked for at the first post: it reads the certificate authorities once.

    ``sealer`` opens the secrets as the record keeps them.
    """

    def __init__(self, http: Callable[[], HttpClient], clock: Clock, sealer: Sealer | None = None) -> None:
        self._http, self._clock, self._sealer = http, clock, sealer or Unsealed()

    async def send(self, url: str, *, id: str, body: str, secrets: Sequence[str]) -> Answer:
        content = body.encode()
        timestamp = int(self._clock.now().timestamp())
        try:
            keys = [key_of(self._sealer.open(secret, "webhook")) for secret in secrets]
        except SealedError as error:
            return Answer(Reception.RETRY, str(error))
        headers = signed(keys, key=id, timestamp=timestamp, body=content)
        try:
            # The body of the answer is not asked for: it could be endless, and is nobody's to show.
            reply = await self._http().request(
                "POST",
                url,
                headers={**headers, **_trace_of(body), "Content-Type": MEDIA_TYPE},
                content=content,
                read_body=False,
            )
        except OutboundRefusedError as error:
            return Answer(Reception.FORBIDDEN, str(error))
        except OutboundFailedError as error:
            return Answer(Reception.RETRY, str(error))
        detail = f"the receiver answered {reply.status}"
        if 200 <= reply.status < 300:
            return Answer(Reception.DELIVERED, detail)
        if reply.status == 410:
            return Answer(Reception.GONE, f"{detail} (gone): it wants no more events")
        if 300 <= reply.status < 400:
            return Answer(Reception.RETRY, f"{detail}: redirects are not followed; subscribe the final URL")
        return Answer(Reception.RETRY, detail, wish(reply.headers.get("retry-after"), now=self._clock.now()))


def _trace_of(body: str) -> Mapping[str, str]:
    """The trace an event belongs to, for the receiver's own spans: the event carries it as an extension."""
    ids = read_header(str(orjson.loads(body).get("traceparent") or ""))
    return {} if ids is None else {"traceparent": ids.header}
