"""Curated corpora in the store, and a document's story in the newest that knows it."""

from __future__ import annotations

from pathlib import Path

from contracts.artifacts import RECORD, Artifact, load
from contracts.errors import InputError
from data_curation.story import story
from data_curation.trace import FILE


def corpora(home: Path) -> list[Artifact]:
    """Curated corpora in the store that know every document's way, newest first; layers of an inbox are among them."""
    found_in = [record for stage in ("curate", "join") for record in (home / "store" / stage).glob(f"*/{RECORD}")]
    records = sorted(found_in, key=lambda path: path.stat().st_mtime)
    found = [load(record.parent) for record in reversed(records)]
    return [one for one in found if one is not None and FILE in one.files]


def stories(home: Path, identity: str) -> list[str]:
    """The story of a document. Raises InputError where no corpus knows it."""
    known = corpora(home)
    for corpus in known:
        told = story(corpus.path, identity, [one.path for one in known if corpus.fingerprint in one.inputs.values()])
        if told:
            where = f"in corpus {corpus.fingerprint}, vertical {corpus.section.get('vertical') or 'not stated'}"
            return [f"{where}: {corpus.path}", "", *told]
    hint = (
        "its id stands in documents.parquet, rejected.jsonl and on the card; stillroom curate VERTICAL makes a corpus"
    )
    raise InputError(identity, "is in none of the curated corpora", got=f"{len(known)} looked at", hint=hint)
