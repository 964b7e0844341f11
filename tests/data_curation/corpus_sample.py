"""A small real-looking corpus and a section that reads it, for the tests of the curation stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contracts.artifacts import Artifact, describe
from contracts.documents import Document, write_jsonl
from recipes.schema import Curation, Source, Task
from recipes.stage_sections import CurateSection

RIVERS = ["Aller", "Bode", "Dosse", "Elde", "Fuhse", "Gera", "Havel", "Inde", "Jeetzel", "Kocher", "Leine", "Mulde"]
GOODS = ["copper wire", "oak planks", "glass jars", "wool cloth", "steel bolts", "clay tiles", "paper rolls"]


def lease(number: int, entity: str = "") -> dict[str, Any]:
    """One row: a letter with a party, a rent and a city, each text its own."""
    river, goods = RIVERS[number % 12], GOODS[number % 7]
    party, rent = f"{river} Works {number}", f"{1_200 + 37 * number:,}"
    text = (
        f"Letter {number} to {party}. The storehouse at {river} quay number {number * 3} is let for {goods}.\n"
        f"Monthly rent: ${rent} on day {number % 27 + 1}, deposit {number % 5 + 1} months, keys {number * 7 + 11}.\n"
        f"Signed in {river}stadt by clerk {number * 13 + 5} after the {goods} of lot {number * 17 + 3} was weighed."
    )
    return {
        "id": f"lease-{number}",
        "text": text,
        "party": entity or party,
        "terms": {"rent": rent, "city": f"{river}stadt"},
    }


def story(number: int) -> str:
    """Plain text that resembles no other."""
    return " ".join(
        f"{RIVERS[(number * 5 + k * k) % 12]} {GOODS[(number + k) % 7]} {number * 31 + k}" for k in range(60)
    )


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as jsonl."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def corpus(folder: Path, leases: list[dict[str, Any]] | None = None) -> Path:
    """``leases.jsonl``, ``stories.jsonl`` and ``replay.jsonl``."""
    write_rows(folder / "leases.jsonl", [lease(n) for n in range(40)] if leases is None else leases)
    write_rows(folder / "stories.jsonl", [{"id": f"s{n}", "text": story(n)} for n in range(30)])
    write_rows(folder / "replay.jsonl", [{"id": f"r{n}", "text": story(n + 500)} for n in range(10)])
    return folder


def section(where: Path | None, augment: bool = False, tuning: int | None = None, **curation: Any) -> CurateSection:
    """A section over the sample corpus."""
    settings = {
        "licences": ("CC0-1.0", "MIT", "Apache-2.0"),
        "removal_ceiling": 0.9,
        "quality_families": (),  # the stories are rows of words
    } | curation
    return CurateSection(
        curation=Curation(**settings),
        sources={
            "leases": Source(path="leases.jsonl", use="tasks", licence="CC0-1.0", entity="party"),
            "stories": Source(path="stories.jsonl", use="pretraining", licence="CC0-1.0"),
            "replay": Source(path="replay.jsonl", use="replay", licence="MIT"),
            "questions": Source(path="questions.jsonl", use="tasks", licence="MIT", text="question"),
        },
        tasks={
            "terms": Task(
                source="leases",
                prompt="{text}\nJSON: rent, city of {party}",
                values={"party": "party"},
                fields={"rent": "terms.rent", "city": "terms.city"},
                must_appear=("rent", "city"),
                numeric=("rent",),
            ),
            "general": Task(
                source="questions",
                suite="general",
                prompt="{text}\n{choices}",
                choices="choices",
                fields={"answer": "answer"},
            ),
        },
        system_prompt="Answer with JSON.",
        corpus=where,
        augment=augment,
        tuning_documents=tuning,
    )


def written(folder: Path, count: int, entity: str = "", start: int = 1_000) -> Artifact:
    """The writer's artifact: synthetic leases."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = []
    for number in range(start, start + count):
        row = lease(number, entity)
        wrong = {"rent": [{"value": "9,999", "fault": "another_lease"}]}
        documents.append(
            Document(
                id=f"written-{number}",
                text=row["text"],
                source="leases",
                licence="CC0-1.0",
                entity=row["party"],
                synthetic=True,
                metadata=row | {"wrong": wrong},
            )
        )
    write_jsonl(folder / "leases.jsonl", documents)
    return describe(folder, "documents")


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    """The records of one output."""
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
