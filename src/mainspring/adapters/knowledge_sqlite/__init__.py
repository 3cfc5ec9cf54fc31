"""A knowledge base out of a directory, indexed in one SQLite file: needs no service and nothing but Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mainspring.adapters.knowledge_sqlite.directory import DirectorySource
from mainspring.adapters.knowledge_sqlite.store import SqliteKnowledgeStore

__all__ = ["DirectoryBase", "DirectorySource", "SqliteKnowledgeStore"]

#: What is indexed unless told otherwise: names that end so.
TEXTS = (".md", ".markdown", ".txt", ".rst", ".adoc", ".html", ".htm")


@dataclass(frozen=True)
class DirectoryBase:
    """The text files below a directory, and their index.

    Args:
        directory: Where the documents are. Symbolic links and names that start with a dot are left out.
        index: The SQLite file that keeps the index; made when missing. Not inside ``directory``.
        endings: Which files are documents, by the end of their name.
        max_bytes: Larger documents are reported as unreadable.
    """

    directory: str | Path
    index: str | Path
    endings: tuple[str, ...] = TEXTS
    max_bytes: int = 4 << 20

    @property
    def source(self) -> DirectorySource:
        """The directory."""
        return DirectorySource(Path(self.directory), endings=self.endings, max_bytes=self.max_bytes)

    @property
    def store(self) -> SqliteKnowledgeStore:
        """The index."""
        return SqliteKnowledgeStore(Path(self.index))
