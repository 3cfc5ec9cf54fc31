"""kb:reindex over a source and a store in memory: what it asks of them, and when it refuses to go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from mainspring.handlers.kb import BATCH_DOCUMENTS, Knowledge, Reindexed, kb_reindex
from mainspring.model.outcome import Fail
from mainspring.ports.knowledge import (
    Build,
    Hit,
    IndexedDocument,
    IndexSize,
    RawDocument,
    SourceDocument,
    Stamp,
    Unreadable,
)
from tests.unit.handlers.attempts import Attempt


@dataclass
class Pages:
    """Documents by name: content, or None for one that cannot be read. Versions are the content, unless touched."""

    documents: dict[str, bytes | None]
    touched: str = ""
    read_names: list[str] = field(default_factory=list)

    async def pages(self) -> AsyncIterator[Sequence[SourceDocument | Unreadable]]:
        for name, content in self.documents.items():
            yield [SourceDocument(name, len(content or b""), f"{content!r}{self.touched}")]

    async def read(self, documents: Sequence[SourceDocument]) -> Sequence[RawDocument | Unreadable | None]:
        self.read_names += [document.id for document in documents]
        return [self._read(document) for document in documents]

    def _read(self, document: SourceDocument) -> RawDocument | Unreadable | None:
        if document.id not in self.documents:
            return None
        content = self.documents[document.id]
        return Unreadable(document.id, "locked") if content is None else RawDocument(document, content)


@dataclass
class Index:
    """Generations in dictionaries."""

    generations: dict[int, dict[str, tuple[Stamp, tuple[str, ...]]]] = field(default_factory=lambda: {1: {}})
    now: int = 1

    async def begin(self, *, full: bool) -> Build:
        build = Build(self.now + full, full)
        self.generations.setdefault(build.generation, {})
        return build

    async def manifest(self, build: Build | None = None) -> Mapping[str, Stamp]:
        generation = self.generations[build.generation if build else self.now]
        return {name: stamp for name, (stamp, _) in generation.items()}

    async def size(self) -> IndexSize:
        found = self.generations[self.now]
        return IndexSize(self.now, len(found), sum(len(passages) for _, passages in found.values()))

    async def put(self, build: Build, documents: Sequence[IndexedDocument]) -> None:
        into = self.generations[build.generation]
        for d in documents:
            into[d.id] = (d.stamp, d.passages if d.passages is not None else into[d.id][1])

    async def delete(self, build: Build, documents: Sequence[str]) -> None:
        for name in documents:
            del self.generations[build.generation][name]

    async def commit(self, build: Build) -> IndexSize:
        self.now = build.generation
        return await self.size()

    async def search(self, query: str, *, limit: int = 5) -> list[Hit]:
        return [
            Hit(name, n, text, 1.0)
            for name, (_, passages) in sorted(self.generations[self.now].items())
            for n, text in enumerate(passages)
            if query in text
        ][:limit]


@dataclass
class Base:
    source: Pages
    store: Index


@pytest.fixture
def base() -> Base:
    return Base(Pages({f"{n}.md": f"document {n}".encode() for n in range(10)}), Index())


async def reindex(base: Base, attempt: Attempt | None = None, **payload: bool) -> Reindexed:
    handler = kb_reindex(Knowledge(bases={"docs": base}))
    return await handler((attempt or Attempt()).ctx, base="docs", **payload)


async def test_only_what_changed_is_read_again(base: Base) -> None:
    first = await reindex(base)
    assert (first.added, first.changed, first.documents, first.passages) == (10, 0, 10, 10)
    base.source.read_names.clear()
    base.source.documents["3.md"] = b"something else"
    del base.source.documents["4.md"]
    base.source.documents["new.md"] = b"new"
    again = await reindex(base)
    assert base.source.read_names == ["3.md", "new.md"]
    assert (again.added, again.changed, again.unchanged, again.removed) == (1, 1, 8, 1)
    assert [hit.document for hit in await base.store.search("something")] == ["3.md"]


async def test_a_touched_document_is_read_and_its_passages_stay(base: Base) -> None:
    await reindex(base)
    base.source.touched = "!"
    again = await reindex(base)
    assert (again.unchanged, again.changed, again.passages) == (10, 0, 10)
    base.source.read_names.clear()
    await reindex(base)
    assert base.source.read_names == []


@pytest.mark.parametrize("full", [False, True])
async def test_an_empty_directory_does_not_empty_the_index(base: Base, full: bool) -> None:
    await reindex(base)
    documents, base.source.documents = base.source.documents, {}
    with pytest.raises(Fail, match=r"10 of 10 documents of 'docs' cannot be found.*allow_vanished=true"):
        await reindex(base, full=full)
    assert (await base.store.size()).documents == 10
    base.source.documents = dict(list(documents.items())[:7])
    assert (await reindex(base, full=full)).removed == 3


async def test_a_person_may_say_that_much_is_gone_on_purpose(base: Base) -> None:
    await reindex(base)
    base.source.documents = {}
    gone = await reindex(base, allow_vanished=True)
    assert (gone.removed, gone.documents) == (10, 0)


async def test_an_unreadable_document_is_counted_and_keeps_what_was_indexed(base: Base) -> None:
    await reindex(base)
    base.source.documents |= {"1.md": None, "2.md": b"\x00binary"}
    attempt = Attempt()
    found = await reindex(base, attempt)
    assert found.unreadable == 2
    assert found.unreadable_examples == {"1.md": "locked", "2.md": "it is not text: it holds null characters"}
    assert (found.documents, found.removed) == (10, 0)
    assert attempt.said.lines == [("warning", "2 documents of 'docs' cannot be read")]


async def test_a_full_build_that_cannot_read_most_of_it_is_not_put_in_place(base: Base) -> None:
    await reindex(base)
    base.source.documents |= dict.fromkeys(list(base.source.documents)[:5])
    with pytest.raises(Fail, match="5 of 10"):
        await reindex(base, full=True)
    assert base.store.now == 1


async def test_a_full_build_goes_on_where_it_was_cut_off(base: Base) -> None:
    base.source.documents = {f"{n}.md": b"text %d" % n for n in range(BATCH_DOCUMENTS + 50)}
    await reindex(base)
    listed = len(base.source.documents)
    with pytest.raises(asyncio.CancelledError):
        await reindex(base, Attempt(stop_after=listed), full=True)
    assert base.store.now == 1
    base.source.read_names.clear()
    done = await reindex(base, full=True)
    assert len(base.source.read_names) == 50
    assert (done.generation, done.documents, done.unchanged) == (2, listed, listed)


async def test_a_document_gone_between_listing_and_reading_is_no_error(base: Base) -> None:
    async def pages() -> AsyncIterator[Sequence[SourceDocument | Unreadable]]:
        yield [SourceDocument("gone.md", 1, "1"), SourceDocument("1.md", 1, "1")]

    base.source.pages = pages  # type: ignore[method-assign]
    assert (await reindex(base)).documents == 1


async def test_a_platform_sees_its_own_bases_and_those_of_all(base: Base) -> None:
    own, shared = Base(Pages({"own.md": b"own"}), Index()), base
    knowledge = Knowledge(bases={"docs": shared, "news": shared}, by_platform={"acme": {"docs": own}})
    assert (await kb_reindex(knowledge)(Attempt("acme").ctx, base="docs")).documents == 1
    assert (await kb_reindex(knowledge)(Attempt("globex").ctx, base="docs")).documents == 10
    assert [hit.document for hit in await knowledge.search("docs", "own", platform_id="acme")] == ["own.md"]
    only = Knowledge(by_platform={"acme": {"docs": own}})
    with pytest.raises(Fail, match=r"no knowledge base named 'docs' is configured \(configured: none\)"):
        await kb_reindex(only)(Attempt("globex").ctx, base="docs")


async def test_too_many_documents_are_refused_before_anything_is_read(base: Base) -> None:
    handler = kb_reindex(Knowledge(bases={"docs": base}, max_documents=9))
    with pytest.raises(Fail, match="more than 9 documents"):
        await handler(Attempt().ctx, base="docs")
    assert base.source.read_names == []


async def test_progress_says_how_far_it_is(base: Base) -> None:
    attempt = Attempt()
    await reindex(base, attempt)
    assert attempt.said.progresses[-1] == {"current": 10, "total": 10, "message": "10 of 10 documents indexed"}
