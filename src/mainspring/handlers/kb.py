"""kb:reindex: bring the index of a knowledge base up to date with its documents.

Listing is cheap and comes first; only what a size or version says may have changed is read, and only what its digest
says has changed is indexed again. Every batch is a transaction of its own, so an attempt that is cut off loses one
batch, and the next goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from mainspring.engine.context import Context
from mainspring.handlers.configured import find, stop_if_cancelled
from mainspring.handlers.passages import PIPELINE, NotTextError, passages
from mainspring.model.outcome import Fail
from mainspring.ports.knowledge import (
    Build,
    Hit,
    IndexedDocument,
    KnowledgeBase,
    RawDocument,
    SourceDocument,
    Stamp,
    Unreadable,
)

#: A batch holds at most so many documents, and so many bytes of them.
BATCH_DOCUMENTS, BATCH_BYTES = 200, 4 << 20
#: Unreadable documents that the result names; all are counted.
EXAMPLES = 20

_FIX = "Set it up: Builtins(knowledge=Knowledge(bases={...: DirectoryBase(directory, index)}))"


@dataclass(frozen=True)
class Knowledge:
    """The knowledge bases there are.

    Args:
        bases: By name; every platform may use them.
        by_platform: Bases that only one platform may use, by platform and name.
        max_vanished: The share of documents that may be gone at once before a reindex stops to ask.
        max_documents: The most documents of one base: it bounds the memory a reindex takes.
    """

    bases: Mapping[str, KnowledgeBase] = field(default_factory=dict)
    by_platform: Mapping[str, Mapping[str, KnowledgeBase]] = field(default_factory=dict)
    max_vanished: float = 0.3
    max_documents: int = 200_000

    def base(self, platform_id: str, name: str) -> KnowledgeBase:
        """Return a base of a platform; raises `Fail`."""
        return find("knowledge base", name, self.bases, self.by_platform, platform_id=platform_id, fix=_FIX)

    async def search(self, name: str, query: str, *, platform_id: str = "default", limit: int = 5) -> list[Hit]:
        """Return the passages of a base that fit a query best."""
        return await self.base(platform_id, name).store.search(query, limit=limit)


@dataclass(frozen=True)
class Reindexed:
    """What a reindex did. ``unchanged`` documents were not indexed again; ``unreadable`` ones keep what they had."""

    base: str
    full: bool
    generation: int
    documents: int
    passages: int
    added: int
    changed: int
    unchanged: int
    removed: int
    unreadable: int
    unreadable_examples: dict[str, str]


Handler = Callable[..., Awaitable[Reindexed]]


def kb_reindex(knowledge: Knowledge) -> Handler:
    """Return the handler for these knowledge bases."""

    async def reindex(ctx: Context, base: str, full: bool = False, allow_vanished: bool = False) -> Reindexed:
        """Bring the index of a knowledge base up to date; ``full`` builds a new one beside the old and swaps them."""
        found = knowledge.base(ctx.platform_id, base)
        return await _Run(ctx, base, found, knowledge, full=full).reindex(allow_vanished=allow_vanished)

    return reindex


class _Run:
    """One attempt."""

    def __init__(self, ctx: Context, name: str, base: KnowledgeBase, knowledge: Knowledge, *, full: bool) -> None:
        self._ctx, self._name, self._knowledge, self._full = ctx, name, knowledge, full
        self._source, self._store = base.source, base.store
        self._unreadable: dict[str, str] = {}

    async def reindex(self, *, allow_vanished: bool) -> Reindexed:
        limit = 1.0 if allow_vanished else self._knowledge.max_vanished
        listed = await self._list()
        before = await self._store.manifest()
        self._guard(before.keys() - listed.keys() - self._unreadable.keys(), before, limit)
        build = await self._store.begin(full=self._full)
        done = await self._store.manifest(build) if self._full else before
        digests = await self._index(build, listed, done)
        if self._full:
            # What could not be read is missing from the new generation, and guarded like what is gone.
            self._guard(before.keys() - digests.keys(), before, limit)
        gone = sorted(done.keys() - digests.keys() - self._unreadable.keys())
        for start in range(0, len(gone), BATCH_DOCUMENTS):
            stop_if_cancelled(self._ctx)
            await self._store.delete(build, gone[start : start + BATCH_DOCUMENTS])
        size = await self._store.commit(build)
        both = digests.keys() & before.keys()
        unchanged = sum(digests[name] == before[name].digest for name in both)
        return Reindexed(
            self._name,
            self._full,
            size.generation,
            size.documents,
            size.passages,
            added=len(digests) - len(both),
            changed=len(both) - unchanged,
            unchanged=unchanged,
            removed=len(before.keys() - digests.keys() - self._unreadable.keys()),
            unreadable=len(self._unreadable),
            unreadable_examples=dict(sorted(self._unreadable.items())[:EXAMPLES]),
        )

    async def _list(self) -> dict[str, SourceDocument]:
        listed: dict[str, SourceDocument] = {}
        async for page in self._source.pages():
            stop_if_cancelled(self._ctx)
            for found in page:
                if isinstance(found, Unreadable):
                    self._unreadable[found.id] = found.reason
                else:
                    listed[found.id] = found
            if len(listed) + len(self._unreadable) > self._knowledge.max_documents:
                most = self._knowledge.max_documents
                raise Fail(f"{self._name!r} has more than {most} documents: split it, or raise Knowledge.max_documents")
            self._ctx.progress(0, None, f"{len(listed)} documents listed")
        return listed

    def _guard(self, vanished: set[str], before: Mapping[str, Stamp], limit: float) -> None:
        """Refuse to go on where too much is gone: an unmounted directory must not empty the index."""
        if before and len(vanished) > limit * len(before):
            raise Fail(
                f"{len(vanished)} of {len(before)} documents of {self._name!r} cannot be found, more than "
                f"{limit:.0%}: nothing was removed. If they are gone on purpose, run it with allow_vanished=true"
            )

    async def _index(
        self, build: Build, listed: Mapping[str, SourceDocument], done: Mapping[str, Stamp]
    ) -> dict[str, bytes]:
        """Index what changed; return the digest of every document that is indexed now."""
        digests = {name: done[name].digest for name, found in listed.items() if _as_before(found, done.get(name))}
        todo = [found for name, found in listed.items() if name not in digests]
        finished = 0
        for batch in _batches(todo):
            stop_if_cancelled(self._ctx)
            read = await self._source.read(batch)
            indexed, unreadable = await asyncio.to_thread(_prepared, read, done)
            await self._store.put(build, indexed)
            digests |= {document.id: document.stamp.digest for document in indexed}
            self._unreadable |= {document.id: document.reason for document in unreadable}
            finished += len(batch)
            self._ctx.progress(finished, len(todo), f"{finished} of {len(todo)} documents indexed")
        if self._unreadable:
            self._ctx.log.warning(f"{len(self._unreadable)} documents of {self._name!r} cannot be read")
        return digests


def _as_before(found: SourceDocument, stamp: Stamp | None) -> bool:
    return stamp is not None and (stamp.size, stamp.version, stamp.pipeline) == (found.size, found.version, PIPELINE)


def _batches(documents: Sequence[SourceDocument]) -> Iterator[list[SourceDocument]]:
    batch: list[SourceDocument] = []
    size = 0
    for document in documents:
        if batch and (len(batch) == BATCH_DOCUMENTS or size + document.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += document.size
    if batch:
        yield batch


def _prepared(
    read: Sequence[RawDocument | Unreadable | None], done: Mapping[str, Stamp]
) -> tuple[list[IndexedDocument], list[Unreadable]]:
    """Digest and cut what was read. Runs in a thread: it is work for the processor."""
    indexed: list[IndexedDocument] = []
    unreadable = [found for found in read if isinstance(found, Unreadable)]
    for raw in read:
        if not isinstance(raw, RawDocument):
            continue
        name, digest = raw.document.id, blake2b(raw.content, digest_size=16).digest()
        stamp = Stamp(raw.document.size, raw.document.version, digest, PIPELINE)
        old = done.get(name)
        if old is not None and (old.digest, old.pipeline) == (digest, PIPELINE):
            indexed.append(IndexedDocument(name, stamp, None))
            continue
        try:
            indexed.append(IndexedDocument(name, stamp, passages(name, raw.content)))
        except NotTextError as error:
            unreadable.append(Unreadable(name, str(error)))
    return indexed, unreadable
