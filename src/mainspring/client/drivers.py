"""The two that do: one blocks, one awaits. Whatever is decided is decided in `exchange` and `watching`."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from mainspring.client.ask import Ask
from mainspring.client.exchange import Caller, Lost, Pause, Reply, Send, Step, Steps, request_of
from mainspring.client.problems import problem_of
from mainspring.client.shape import Page
from mainspring.client.watching import Following

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

#: Seconds without a word after which a stream counts as broken: three of its heartbeats.
SILENCE = 45.0


class Driver:
    """What both have: who asks whom."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller


class Blocking(Driver):
    """Sends and waits in the calling thread. Threads may share one."""

    def __init__(self, caller: Caller, transport: httpx2.BaseTransport | None = None) -> None:
        import httpx2

        super().__init__(caller)
        self._http = httpx2.Client(
            base_url=caller.server, timeout=caller.timeout, transport=transport, verify=_encrypted(caller)
        )

    def now(self) -> float:
        """The clock that waits are measured by."""
        return time.monotonic()

    def run(self, steps: Steps[T]) -> T:
        """Do a conversation's steps to its end."""
        got: Any = None
        try:
            while True:
                got = self._do(steps.send(got))
        except StopIteration as done:
            value: T = done.value
            return value

    def pages(self, ask: Ask[Page[T]]) -> Iterator[T]:
        """Yield the rows of a list, page after page."""
        following: Ask[Page[T]] | None = ask
        while following is not None:
            page = self.run(self.caller.ask(following))
            yield from page.data
            following = ask.with_page(page.next_page_token) if page.next_page_token else None

    def follow(self, following: Following[T]) -> Iterator[T]:
        """Yield what a stream brings, through broken connections, to its end."""
        import httpx2

        while not following.ended:
            got: Reply | Lost | None = None
            try:
                with self._http.stream(**_request(following.request(), _quiet())) as response:
                    if response.status_code == 200:
                        for line in response.iter_lines():
                            yield from following.take(line)
                            if following.reconnect or following.ended:
                                break
                    else:
                        got = Reply(response.status_code, response.headers, response.read())
            except httpx2.TransportError as error:
                got = lost(error)
            if not following.ended:
                self._do(Pause(following.broke(got)))

    def lines(self, ask: Ask[T]) -> Iterator[T]:
        """Yield the rows of an answer of one JSON value a line."""
        import httpx2

        send = request_of(ask, self.caller.platform, self.caller.key)
        try:
            with self._http.stream(**_request(send, _quiet())) as response:
                if response.status_code != 200:
                    raise problem_of(response.status_code, response.read())
                for line in response.iter_lines():
                    if line:
                        yield ask.reads(json.loads(line))
        except httpx2.TransportError as error:
            self.caller.opened(lost(error))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _do(self, step: Step) -> Any:
        import httpx2

        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            response = self._http.request(**_request(step, self.caller.timeout))
        except httpx2.TransportError as error:
            return lost(error)
        return Reply(response.status_code, response.headers, response.content)


class Awaiting(Driver):
    """Sends and waits on the running event loop."""

    def __init__(self, caller: Caller, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        import httpx2

        super().__init__(caller)
        self._http = httpx2.AsyncClient(
            base_url=caller.server, timeout=caller.timeout, transport=transport, verify=_encrypted(caller)
        )

    def now(self) -> float:
        """The clock that waits are measured by."""
        import asyncio

        return asyncio.get_running_loop().time()

    async def run(self, steps: Steps[T]) -> T:
        """Do a conversation's steps to its end."""
        got: Any = None
        try:
            while True:
                got = await self._do(steps.send(got))
        except StopIteration as done:
            value: T = done.value
            return value

    async def pages(self, ask: Ask[Page[T]]) -> AsyncIterator[T]:
        """Yield the rows of a list, page after page."""
        following: Ask[Page[T]] | None = ask
        while following is not None:
            page = await self.run(self.caller.ask(following))
            for row in page.data:
                yield row
            following = ask.with_page(page.next_page_token) if page.next_page_token else None

    async def follow(self, following: Following[T]) -> AsyncIterator[T]:
        """Yield what a stream brings, through broken connections, to its end."""
        import httpx2

        while not following.ended:
            got: Reply | Lost | None = None
            try:
                async with self._http.stream(**_request(following.request(), _quiet())) as response:
                    if response.status_code == 200:
                        async for line in response.aiter_lines():
                            for found in following.take(line):
                                yield found
                            if following.reconnect or following.ended:
                                break
                    else:
                        got = Reply(response.status_code, response.headers, await response.aread())
            except httpx2.TransportError as error:
                got = lost(error)
            if not following.ended:
                await self._do(Pause(following.broke(got)))

    async def lines(self, ask: Ask[T]) -> AsyncIterator[T]:
        """Yield the rows of an answer of one JSON value a line."""
        import httpx2

        send = request_of(ask, self.caller.platform, self.caller.key)
        try:
            async with self._http.stream(**_request(send, _quiet())) as response:
                if response.status_code != 200:
                    raise problem_of(response.status_code, await response.aread())
                async for line in response.aiter_lines():
                    if line:
                        yield ask.reads(json.loads(line))
        except httpx2.TransportError as error:
            self.caller.opened(lost(error))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _do(self, step: Step) -> Any:
        import asyncio

        import httpx2

        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            response = await self._http.request(**_request(step, self.caller.timeout))
        except httpx2.TransportError as error:
            return lost(error)
        return Reply(response.status_code, response.headers, response.content)


def _encrypted(caller: Caller) -> bool:
    """Whether certificates will be looked at: on a plain connection, loading the authorities is time for nothing."""
    return not caller.server.startswith("http://")


def lost(error: Exception) -> Lost:
    """Return what an error of the connection means: before there was one, nothing can have arrived."""
    import httpx2

    before = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
    return Lost(str(error) or type(error).__name__, sent=not before)


def _quiet() -> Any:
    import httpx2

    return httpx2.Timeout(10.0, read=SILENCE)


def _request(send: Send, timeout: Any) -> dict[str, Any]:
    return {
        "method": send.method,
        "url": send.path,
        "params": dict(send.query),
        "headers": dict(send.headers),
        "content": send.content,
        "timeout": timeout,
    }
