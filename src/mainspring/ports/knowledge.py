"""Knowledge bases: where documents come from, and the index that answers questions about them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A document as a listing shows it, unread. ``version`` changes whenever the content may have: mtime, ETag."""

    id: str
    size: int
    version: str


@dataclass(frozen=True, slots=True)
class RawDocument:
    """A document that was read. ``document`` is what was read, which may be newer than what was listed."""

    document: SourceDocument
    content: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A document that is there and cannot be read. It is counted and reported; what was indexed of it stays."""

    id: str
    reason: str


class DocumentSource(Protocol):
    """A collection of documents."""

    def pages(self) -> AsyncIterator[Sequence[SourceDocument | Unreadable]]:
        """List every document once, a page at a time, cheaply: nothing is read.

        Raises `OSError` where the collection itself cannot be reached: an error is not an empty collection.
        """

    async def read(self, documents: Sequence[SourceDocument]) -> Sequence[RawDocument | Unreadable | None]:
        """Read documents, in their order; None for one that has gone since it was listed."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """How an indexed document looked. ``pipeline`` names the parser and splitter that made its passages."""

    size: int
    version: str
    digest: bytes
    pipeline: str


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    """What to store of one document. ``passages`` None: the content is as before, only the stamp is new."""

    id: str
    stamp: Stamp
    passages: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Build:
    """Work on an index. A full build fills a new generation that searches do not see until it is committed."""

    generation: int
    full: bool


@dataclass(frozen=True, slots=True)
class IndexSize:
    """What a generation of the index holds."""

    generation: int
    documents: int
    passages: int


@dataclass(frozen=True, slots=True)
class Hit:
    """One passage that matches, with its place in the document (from 0). Higher scores match better."""

    document: str
    passage: int
    text: str
    score: float


class KnowledgeStore(Protocol):
    """One index. Every call is one transaction, repeats harmlessly, and leaves a whole index whenever it is cut off."""

    async def begin(self, *, full: bool) -> Build:
        """Start building. A full build that was cut off is taken up where it stopped."""

    async def manifest(self, build: Build | None = None) -> Mapping[str, Stamp]:
        """Return the stamps of a build's generation by document; without a build, of what searches see."""

    async def size(self) -> IndexSize:
        """Return what the generation that searches see holds."""

    async def put(self, build: Build, documents: Sequence[IndexedDocument]) -> None:
        """Store documents, each replacing what the generation had of it."""

    async def delete(self, build: Build, documents: Sequence[str]) -> None:
        """Remove documents; unknown ones are left out."""

    async def commit(self, build: Build) -> IndexSize:
        """Finish: a full build's generation becomes the one that searches see, and the former one is removed."""

    async def search(self, query: str, *, limit: int = 5) -> list[Hit]:
        """Return the best passages for the words of a query, best first; empty for a query without words."""


class KnowledgeBase(Protocol):
    """A source and its index, as configured by code."""

    @property
    def source(self) -> DocumentSource:
        """Where the documents are."""

    @property
    def store(self) -> KnowledgeStore:
        """Where the index is."""
