"""What of an inbox is not read, written down: quarantined drops, and files that no source reads."""

from __future__ import annotations

from pathlib import Path

from data_curation.candidates import Book
from data_curation.reading import NOTES, find_files
from recipes.corpus import Inbox
from recipes.schema import Source


def note_unread(corpus: Path, inbox: Inbox, sources: dict[str, Source], book: Book) -> None:
    """Put into quarantine the drops that must not be read, and files of the others that no source names."""
    for name, reason in inbox.quarantined.items():
        book.quarantine(name, 0, reason)
    read = {file for source in sources.values() for file in find_files(corpus, source.path)}
    for name in inbox.drops:
        for file in find_files(corpus, name):
            if file not in read and file.name.lower() not in NOTES:
                book.quarantine(str(file.relative_to(corpus)), 0, "no source of the recipe reads this file")
