"""The document writer: tables of public facts and phrasings in YAML to documents with gold and wrong answers.

Every record is marked synthetic. Document ``i`` of a source depends on the seed, the source's name and ``i`` alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from contracts.artifacts import Artifact, describe
from contracts.documents import Document, write_jsonl
from contracts.errors import RecipeError
from contracts.stage import progress, stage_main
from contracts.usage import Usage
from data_curation.writer.engine import Writing, compose
from data_curation.writer.load import Grammar, load, writer_path
from recipes.stage_sections import WriteSection

CODE_VERSION = "1"
LICENCE = "CC0-1.0"


def write(section: WriteSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """``<source>.jsonl`` of Documents for each source of the section that the writer file knows.

    The row that tasks read is ``metadata``; ``metadata["wrong"]`` holds wrong answers by field. Metrics: documents and
    characters by source. Raises RecipeError where the file has faults or knows none of the sources.
    """
    path = writer_path(section.vertical, section.file)
    grammar = load(path)
    known = [name for name in section.sources if name in grammar.spec.sources]
    if not known:
        hint = f"the file writes {', '.join(sorted(grammar.spec.sources))}"
        raise RecipeError(str(path.name), "writes none of the recipe's sources", got=list(section.sources), hint=hint)
    counts: dict[str, int] = {}
    chars: dict[str, int] = {}
    for done, name in enumerate(known):
        progress(done, len(known), f"writing {name}")
        wanted = max(1, round(section.documents * grammar.spec.sources[name].share))
        written = list(documents(grammar, name, section.seed, min(wanted, section.sources[name].max_documents)))
        counts[name] = write_jsonl(out_dir / f"{name}.jsonl", written)
        chars[name] = sum(len(document.text) for document in written)
    progress(len(known), len(known), "written")
    return describe(out_dir, "documents", {"documents": counts, "characters": chars, "synthetic": True}), Usage()


def documents(grammar: Grammar, source: str, seed: int, count: int) -> Iterator[Document]:
    """The first ``count`` documents of a source."""
    spec = grammar.spec.sources[source]
    slots, phrases = grammar.spec.slots | spec.slots, grammar.spec.phrases | spec.phrases
    for index in range(count):
        identity = f"written-{source}-{seed}-{index:06d}"
        text, row, entity, date = compose(Writing(grammar.tables, slots, phrases, f"{seed}/{source}/{index}"), spec)
        yield Document(
            id=identity,
            text=text,
            source=source,
            licence=LICENCE,
            entity=entity or identity,
            date=date or None,
            synthetic=True,
            metadata={"id": identity, **row},
        )


def writer_digest(vertical: str, file: str) -> str:
    """SHA-256 over the writer file, its includes and tables: what the section's file name alone does not say."""
    total = hashlib.sha256()
    for path in load(writer_path(vertical, file)).files:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


if __name__ == "__main__":
    stage_main(write, WriteSection)
