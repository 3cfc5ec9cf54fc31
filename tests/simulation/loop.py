"""A virtual loop in which a whole node can stand still, or be gone, between any two of its steps.

Every callback belongs to the node whose context scheduled it. A paused node's callbacks are kept until it wakes; a dead
node's never run again, so nothing of it cleans up after itself: that is what a killed process is like.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any, TypeVarTuple, Unpack

from mainspring.testing.loop import VirtualLoop

Ts = TypeVarTuple("Ts")


class Life:
    """Whether a node's steps run. ``held`` is what came due while it was paused, in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.paused = False
        self.held: list[_Gated] = []

    def kill(self) -> None:
        self.dead, self.held = True, []

    def pause(self) -> None:
        self.paused = True

    def wake(self, loop: SimLoop) -> None:
        self.paused = False
        held, self.held = self.held, []
        for gated in held:
            if not gated.cancelled:
                loop.resume(gated)


LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("life", default=None)


class _Gated:
    __slots__ = ("args", "callback", "context", "handle", "life")

    def __init__(self, life: Life, callback: Any, args: tuple[Any, ...], context: contextvars.Context) -> None:
        self.life, self.callback, self.args, self.context = life, callback, args, context
        self.handle: asyncio.Handle | None = None

    @property
    def cancelled(self) -> bool:
        return self.handle is not None and self.handle.cancelled()

    def __call__(self) -> None:
        if self.life.dead:
            return
        if self.life.paused:
            self.life.held.append(self)
            return
        if LIFE.get() is self.life:
            self.callback(*self.args)
        else:
            self.context.run(self.callback, *self.args)


class SimLoop(VirtualLoop):
    """`VirtualLoop` with nodes."""

    def __init__(self) -> None:
        super().__init__()
        self._made: list[asyncio.Task[Any]] = []

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        context = contextvars.copy_context() if context is None else context
        life = context.get(LIFE)
        if life is None:
            return super().call_soon(callback, *args, context=context)
        gated = _Gated(life, callback, args, context)
        gated.handle = super().call_soon(gated, context=context)
        return gated.handle

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        context = contextvars.copy_context() if context is None else context
        life = context.get(LIFE)
        if life is None:
            return super().call_at(when, callback, *args, context=context)
        gated = _Gated(life, callback, args, context)
        handle = super().call_at(when, gated, context=context)
        gated.handle = handle
        return handle

    def resume(self, gated: _Gated) -> None:
        """Run a callback that was held, after those held before it."""
        super().call_soon(gated, context=gated.context)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Make a task and keep it: nothing else refers to the tasks of a dead node."""
        task = super().create_task(coro, **options)
        self._made.append(task)
        return task

    def abandon(self) -> None:
        """Close what is left of every coroutine, without running any clean-up that waits."""
        for task in self._made:
            if task.done():
                continue
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            try:
                task.get_coro().close()
            except (RuntimeError, ValueError):
                continue
