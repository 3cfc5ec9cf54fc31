"""Transport: how workers hear of queued executions. It carries hints; claims happen in the database.

A store hands on what a transaction announced once that has committed, and only then. Whatever a transport loses,
repeats, delays or makes up costs time and never work: a worker claims conditionally, polls, and a dispatcher
announces again what nobody has claimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from mainspring.model.dispatch import Announcement, Dispatch


class Announcer(Protocol):
    """Takes what committed transactions announced."""

    def announce(self, announcements: Sequence[Announcement], *, told: bool = False) -> Iterable[str]:
        """Pass announcements on, and return the topics (see `Wakeups`) to wake besides. Safe from any thread.

        ``told``: others have heard with the commit what it `wakes`, and are about to look; this may make way for them.

        It neither blocks nor raises: the transaction has committed, and its caller waits for nothing else. What
        cannot be passed on is dropped and counted.
        """

    def wakes(self, announcements: Sequence[Announcement]) -> Iterable[str]:
        """Return topics that may be told with the commit itself, where that costs little, however `announce` goes on.

        Whoever hears them so may find the work before it is announced.
        """


@dataclass(frozen=True, slots=True)
class Offer:
    """What a worker should try to claim. ``ids`` None: whatever is queued, in the database's own order."""

    ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """One stream: its entries, those of them that were read and not let go of, and who reads it.

    ``unread`` is what the server believes nobody has read yet, None where it does not say; it is wrong once entries
    were trimmed. ``oldest_at`` is when the oldest entry was added, by the server's clock.
    """

    name: str
    entries: int
    pending: int = 0
    unread: int | None = None
    consumers: int = 0
    oldest_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TransportFigures:
    """How a transport stands. ``kind``: database or redis; ``problems`` in sentences, empty where all is well.

    ``counters`` say what transports have done: that of this process since it started, or those of the fleet.
    """

    kind: str
    reachable: bool = True
    server: str | None = None
    streams: tuple[StreamFigures, ...] = ()
    problems: tuple[str, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)


class Deliveries(Protocol):
    """What reaches one worker. Used from the event loop it was opened in."""

    @property
    def topic(self) -> str:
        """The topic that is woken when there may be something to take."""

    def offer(self, room: Mapping[str, int], limit: int) -> Offer | None:
        """Return what to try to claim now, None for nothing; no more than there is ``room`` for in each queue.

        Each offer is answered by `tried` or `failed` before the next one is asked for.
        """

    def tried(self, offer: Offer, claimed: int, limit: int) -> bool:
        """Take note that an offer was tried, of which ``claimed`` were got; True when there is more to try at once."""

    def failed(self, offer: Offer) -> None:
        """Take note that the claim failed: nothing is known of these executions, and they are offered again."""

    def look(self) -> None:
        """Offer next whatever the database has: another worker was offered work that it left for this one."""

    async def close(self) -> None:
        """Take nothing more, and leave what was not tried to other workers. Again: nothing happens."""


class Transport(Announcer, Protocol):
    """Carries announcements from those who queue to those who work."""

    @property
    def may_lose(self) -> bool:
        """Whether what was announced may get lost, so that dispatchers have to reconcile it with the database."""

    async def open(self) -> None:
        """Start carrying. Does not wait for a server: while there is none, workers poll."""

    async def close(self) -> None:
        """Send what was announced, in bounded time, and let go of every connection."""

    async def deliveries(self, worker_id: str, queues: Mapping[str, int], *, poll: float) -> Deliveries:
        """Start delivering to a worker that has slots in ``queues`` and polls every ``poll`` seconds."""

    async def announce_again(self, dispatches: Sequence[Dispatch]) -> int:
        """Announce once more what has long been queued, where the transport may have lost it; return how many were."""

    async def figures(self, queues: Sequence[str]) -> TransportFigures:
        """Return how it stands, with the streams of these queues; asks the server, and says so where it is away."""

    def counters(self) -> Mapping[str, int]:
        """Return what it has done in this process since it started."""


class DatabaseTransport:
    """`Transport` that needs nothing but the store: whoever queues wakes the workers, and they look themselves."""

    #: Not for longer than a poll.
    may_lose = False

    async def open(self) -> None:
        """Do nothing: the store carries the wake-ups."""

    async def close(self) -> None:
        """Do nothing."""

    def announce(self, announcements: Sequence[Announcement], *, told: bool = False) -> Iterable[str]:
        """Have the workers woken if anything was queued."""
        return self.wakes(announcements)

    def wakes(self, announcements: Sequence[Announcement]) -> Iterable[str]:
        """Have the workers woken if anything is queued."""
        return ("queued",) if any(isinstance(one, Dispatch) for one in announcements) else ()

    async def deliveries(self, worker_id: str, queues: Mapping[str, int], *, poll: float) -> Deliveries:
        """Return what offers everything there is, whenever asked."""
        return AnythingQueued()

    async def announce_again(self, dispatches: Sequence[Dispatch]) -> int:
        """Announce nothing: workers poll more often than anybody would reconcile."""
        return 0

    async def figures(self, queues: Sequence[str]) -> TransportFigures:
        """Return that there is nothing to tell."""
        return TransportFigures("database")

    def counters(self) -> Mapping[str, int]:
        """Return nothing: the store carries the wake-ups."""
        return {}


class AnythingQueued:
    """`Deliveries` of a worker that looks for itself."""

    topic = "queued"

    def offer(self, room: Mapping[str, int], limit: int) -> Offer | None:
        """Offer everything, always."""
        return Offer()

    def tried(self, offer: Offer, claimed: int, limit: int) -> bool:
        """Go on while claims come back full."""
        return claimed == limit

    def failed(self, offer: Offer) -> None:
        """Nothing was taken, so nothing is put back."""

    def look(self) -> None:
        """Every offer is a look."""

    async def close(self) -> None:
        """Nothing was taken."""


@dataclass(slots=True)
class Aftermath:
    """What to do once a transaction has committed: topics to wake, in order, and announcements to pass on."""

    topics: dict[str, None] = field(default_factory=dict)
    announcements: list[Announcement] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.topics or self.announcements)

    def add(self, other: Aftermath) -> None:
        """Take in what another transaction of the same commit leaves to do."""
        self.topics.update(other.topics)
        self.announcements += other.announcements

    @property
    def queues_one(self) -> str | None:
        """The queue of the only execution that was queued; None where there is none, or more than one."""
        queue = None
        for one in self.announcements:
            if isinstance(one, Dispatch):
                if queue is not None:
                    return None
                queue = one.queue
        return queue

    def begun(self) -> None:
        """Take note that what was queued is with a worker already: nobody is to be told of it."""
        self.announcements = [one for one in self.announcements if not isinstance(one, Dispatch)]

    def early(self, announcer: Announcer) -> list[str]:
        """Return topics that may be told with the commit itself."""
        return list(self.topics | dict.fromkeys(announcer.wakes(self.announcements)))

    def pass_on(self, announcer: Announcer, *, told: bool = False) -> list[str]:
        """Pass the announcements on; return every topic to wake. ``told``: the `early` ones were told."""
        if self.announcements:
            self.topics.update(dict.fromkeys(announcer.announce(self.announcements, told=told)))
        return list(self.topics)
