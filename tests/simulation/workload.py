"""What people ask of the cluster: jobs of every kind and policy, and calls that are repeated when an answer is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

from mainspring.control.scheduler import SchedulerService
from mainspring.errors import MainspringError, StoreUnavailableError
from mainspring.model.execution import LIVE, TERMINAL
from mainspring.model.job import JobStatus
from mainspring.model.node import Limit
from mainspring.model.policy import Overlap
from mainspring.model.webhook import Webhook
from mainspring.moves.enqueue import EnqueueRequest
from mainspring.ports.store import ExecutionQuery, Tx
from tests.simulation.cluster import BEHAVIOURS
from tests.simulation.world import Process, World

QUEUES = ("default", "side")


class Client(Process):
    """Somebody who calls the API, and keeps what was acknowledged."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "client")
        self.random = world.random("workload")
        self.service = SchedulerService(self.store)
        self.acknowledged: list[str] = []
        self.keys: dict[str, set[str]] = {}
        self.jobs: list[str] = []
        self._count = self._count_events = 0

    async def set_up(self) -> None:
        """Put the limits and the first jobs; nothing goes wrong yet."""
        r = self.random
        limits = []
        if r.random() < 0.4:
            limits.append(Limit("default", "queue", "side", max_running=r.randint(1, 3)))
        if r.random() < 0.3:
            limits.append(Limit("default", "queue", "default", rate=r.randint(1, 4), rate_per=r.choice([1.0, 5.0])))
        if r.random() < 0.3:
            limits.append(Limit("default", "platform", max_running=r.randint(2, 5)))
        if r.random() < 0.3:
            limits.append(Limit("default", "key", "k1", max_running=1))

        # By a source of their own, so that runs without webhooks stay what they were.
        hooks = self.world.random("webhooks")
        patterns = [hooks.choice([("**",), ("scheduler:execution.*",)]) for _ in range(hooks.choice([0, 1, 2]))]

        def put(tx: Tx) -> None:
            for limit in sorted(limits, key=lambda limit: (limit.scope, limit.name)):
                tx.platforms.put_limit(limit)
            for number, events in enumerate(patterns):
                url = f"https://receiver{number}.example"
                tx.webhooks.add(Webhook(f"webhook-{number}", "default", url, events, tx.now, tx.now))

        await self.store.write(put)
        for _ in range(r.randint(2, 5)):
            await self._call(self._add_job)

    async def use(self, seconds: float) -> None:
        """Do this and that for a while."""
        r = self.random
        end = asyncio.get_running_loop().time() + seconds
        acts: list[tuple[int, Callable[[], Awaitable[Any]]]] = [
            (1, self._add_job), (4, self._enqueue), (2, self._enqueue_many), (5, self._trigger), (8, self._publish),
            (5, self._cancel), (2, self._pause), (3, self._resume), (2, self._edit), (1, self._archive),
            (2, self._redrive), (1, self._again),
        ]  # fmt: skip
        names = [act for weight, act in acts for _ in range(weight)]
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(r.expovariate(1 / 4))
            await self._call(r.choice(names))

    async def finish(self) -> None:
        """Stop making work: archive what is not archived. The store is healthy by now."""
        for name in self.jobs:
            await self._call(partial(self.service.delete_job, name))

    async def _call(self, act: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await act()
        except StoreUnavailableError:
            return None
        except MainspringError as error:
            self.world.say("client: %s: %s", type(error).__name__, error)
            return None

    async def _insist(self, act: Callable[[], Awaitable[Any]]) -> Any:
        """Call until there is an answer, as a client with an idempotency key may."""
        for _ in range(6):
            try:
                return await act()
            except StoreUnavailableError:
                await asyncio.sleep(self.random.uniform(0.1, 2))
        return None

    # -- calls ---------------------------------------------------------------------------------------------------------

    async def _add_job(self) -> None:
        r = self.random
        self._count += 1
        name = f"job{self._count}"
        if name not in self.jobs:
            self.jobs.append(name)
        fields = {"name": name, **self._timing(), **self._policies()}
        if fields["type"] == "event":
            fields["handler"] = "work"
        if r.random() < 0.2 and self._count > 1:
            fields[r.choice(["on_success", "on_failure"])] = [f"job{r.randint(1, self._count)}"]
        await self._insist(lambda: self.service.put_job(fields))

    def _timing(self) -> dict[str, Any]:
        r = self.random
        kind = r.choice(["cron", "cron", "recurring", "recurring", "one_time", "event", "event", "event", "manual"])
        shape: dict[str, Any] = {}
        match kind:
            case "cron" if r.random() < 0.5:
                shape = {"cron": r.choice(["* * * * *", "*/2 * * * *", "0-59/3 * * * *"])}
            case "cron":
                shape = {"cron": r.choice(["*/10 * * * * *", "0,20,25 * * * * *", "*/30 * * * * *"]), "seconds": True}
            case "recurring":
                shape = {"every_ms": r.choice([3000, 7000, 10_000, 25_000])}
            case "one_time":
                shape = {"run_at": (self.world.now + timedelta(seconds=r.uniform(1, 90))).isoformat()}
            case "event":
                return {"type": kind, "schedule": self._events()}
            case _:
                return {"type": kind}
        if kind != "one_time":
            if r.random() < 0.3:
                shape["jitter_ms"] = r.choice([500, 4000, 20_000])
            if r.random() < 0.15:
                shape["max_executions"] = r.randint(1, 8)
            if r.random() < 0.1:
                shape["end_at"] = (self.world.now + timedelta(seconds=r.uniform(20, 120))).isoformat()
        return {"type": kind, "schedule": shape, "timezone": r.choice(["UTC", "Europe/Berlin", "America/New_York"])}

    def _events(self) -> dict[str, Any]:
        r = self.random
        shape: dict[str, Any] = {"events": [r.choice(["order.*", "order.paid", "**"])]}
        if r.random() < 0.3:
            shape["filter"] = {"data": {"n": r.choice([[1], [1, 2], [3]])}}
        if r.random() < 0.4:
            shape["debounce_ms"] = r.choice([200, 3000, 15_000])
        if r.random() < 0.4:
            shape["throttle"] = {"limit": r.choice([1, 2]), "per_ms": r.choice([10_000, 40_000])}
        if r.random() < 0.2:
            shape["max_executions"] = r.randint(1, 4)
        if r.random() < 0.2:
            shape["jitter_ms"] = r.choice([500, 4000])
        return shape

    def _policies(self) -> dict[str, Any]:
        r = self.random
        fields: dict[str, Any] = {
            "handler": r.choice(["work"] * 8 + ["plain", "child"]),
            "payload": self._payload(),
            "timeout_ms": r.choice([2000, 4000, 8000, 45_000]),
            "retry": {
                "max_retries": r.choice([0, 1, 2]),
                "retry_delay_ms": r.choice([0, 500, 3000]),
                "jitter": r.choice(["full", "none"]),
            },
            "misfire_grace_ms": r.choice([0, 2000, 10_000, 60_000]),
            "misfire": r.choice(["skip", "fire_once", "fire_all"]),
            "max_catch_up": r.choice([1, 3, 100]),
            "priority": r.randint(0, 9),
            "queue": r.choice(QUEUES),
            "dead_letter": r.random() < 0.8,
        }
        if r.random() < 0.8:
            fields["overlap"] = r.choice(list(Overlap)).value
        if r.random() < 0.5:
            fields["max_concurrency"] = r.choice([1, 2, 3])
        if r.random() < 0.3:
            fields["buffer_limit"] = r.choice([1, 3])
        if r.random() < 0.3:
            fields["concurrency_key"] = r.choice(["k1", "k2"])
            fields["concurrency_limit"] = r.choice([1, 2])
        if r.random() < 0.2:
            fields["start_deadline_ms"] = r.choice([1000, 5000, 20_000])
        if r.random() < 0.15:
            fields["pause_after_failures"] = r.choice([1, 3])
        if r.random() < 0.15:
            fields["catch_up_window_ms"] = r.choice([5000, 60_000])
        return fields

    def _payload(self) -> dict[str, Any]:
        r = self.random
        does = r.choice(["succeed", "succeed", *BEHAVIOURS])
        return {"does": does, "seconds": round(r.choice([0, 0.01, 0.3, r.uniform(0, 5), r.uniform(5, 25)]), 3)}

    async def _enqueue(self) -> None:
        request = self._request()
        await self._enqueue_all([request])

    async def _enqueue_many(self) -> None:
        await self._enqueue_all([self._request() for _ in range(self.random.randint(2, 6))])

    def _request(self) -> EnqueueRequest:
        r = self.random
        known = sorted(self.keys)
        key = None
        if r.random() < 0.7:
            key = r.choice(known) if known and r.random() < 0.2 else f"key{len(known)}"
            self.keys.setdefault(key, set())
        # The body follows from the key, so that the same key is always the same request.
        body = self.world.random(f"body of {key}") if key is not None else r
        return EnqueueRequest(
            "work",
            {"does": body.choice(BEHAVIOURS), "seconds": body.choice([0, 0.2, 2.0])},
            run_at=None,
            priority=body.randint(0, 9),
            queue=body.choice(QUEUES),
            concurrency_key=body.choice([None, None, "k1", "k2"]),
            concurrency_limit=None,
            timeout=timedelta(seconds=4),
            idempotency_key=key,
        )

    async def _enqueue_all(self, requests: list[EnqueueRequest]) -> None:
        keyed = all(r.idempotency_key is not None for r in requests)
        act = partial(self.service.enqueue, requests)
        made = await (self._insist(act) if keyed else self._call(act))
        for request, execution in zip(requests, made or [], strict=bool(made)):
            self.acknowledged.append(execution.id)
            if request.idempotency_key is not None:
                self.keys[request.idempotency_key].add(execution.id)

    async def _trigger(self) -> None:
        r = self.random
        name = r.choice(self.jobs)
        overlap = r.choice([None, None, None, Overlap.BUFFER_ALL, Overlap.TERMINATE_OTHER, Overlap.CANCEL_OTHER])
        execution = await self.service.trigger_job(name, overlap=overlap)
        self.acknowledged.append(execution.id)

    async def _publish(self) -> None:
        r = self.random
        self._count_events += 1
        event_id = f"e{r.randint(1, self._count_events)}" if r.random() < 0.2 else f"e{self._count_events}"
        kind = r.choice(["order.paid", "order.sent", "stock.low"])
        data, depth = {"n": r.randint(1, 3)}, r.choice([0] * 9 + [17])
        handle = self.service.handle_event
        for burst in range(r.choice([1, 1, 3, 6])):
            name = f"{event_id}.{burst}"
            await self._insist(partial(handle, kind, data, id=name, source="shop", chain_depth=depth))

    async def _cancel(self) -> None:
        execution = await self._some(LIVE)
        if execution is not None:
            await self.service.cancel_execution(execution, force=self.random.random() < 0.3)

    async def _pause(self) -> None:
        until = self.world.now + timedelta(seconds=self.random.uniform(2, 40)) if self.random.random() < 0.5 else None
        await self.service.pause_job(self.random.choice(self.jobs), reason="simulated", until=until)

    async def _resume(self) -> None:
        paused = [v.job.name for v in await self.service.list_jobs(status=JobStatus.PAUSED)]
        if paused:
            await self.service.resume_job(self.random.choice(paused), catch_up=self.random.random() < 0.5)

    async def _edit(self) -> None:
        r = self.random
        name = r.choice(self.jobs)
        view = await self.service.get_job(name)
        if r.random() < 0.5:
            fields = {k: v for k, v in self._policies().items() if r.random() < 0.3 and k != "handler"}
        else:
            fields = self._timing()
            fields.pop("type")
            if view.job.definition.type not in ("cron", "recurring") or "schedule" not in fields:
                return
            shapes = {"cron": ("cron",), "recurring": ("every_ms",)}[view.job.definition.type]
            if not any(s in fields["schedule"] for s in shapes):
                return
        await self.service.update_job(name, fields)

    async def _archive(self) -> None:
        await self.service.delete_job(self.random.choice(self.jobs))

    async def _redrive(self) -> None:
        letters = await self.service.list_dead_letters()
        if letters:
            letter = self.random.choice(letters)
            if self.random.random() < 0.2:
                await self.service.discard(letter.execution_id, reason="simulated")
            else:
                self.acknowledged.append((await self.service.redrive(letter.execution_id)).id)

    async def _again(self) -> None:
        execution = await self._some(TERMINAL)
        if execution is not None:
            self.acknowledged.append((await self.service.retry_execution(execution)).id)

    async def _some(self, statuses: frozenset[Any]) -> str | None:
        query = ExecutionQuery(statuses=tuple(sorted(statuses)), limit=20)
        found = await self.service.list_executions(query)
        return self.random.choice(found).id if found else None
