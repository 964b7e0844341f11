"""The document writer: the same bytes for the same seed, gold that is printed, wrong answers that look right."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from contracts.answers import normalise
from contracts.documents import Document, read_jsonl
from contracts.errors import RecipeError
from data_curation.write import documents, write, writer_digest
from data_curation.writer.load import RECIPES, load, writer_path
from recipes.load import load as load_recipe
from recipes.schema import Source
from recipes.stage_sections import WriteSection

VERTICALS = ("finance", "real_estate", "corporate_intelligence")


def written(vertical: str, source: str, count: int, seed: int = 7) -> list[Document]:
    return list(documents(load(writer_path(vertical, "writer.yaml")), source, seed, count))


def section(tmp_path: Path, body: str, **changes: Any) -> WriteSection:
    (tmp_path / "writer.yaml").write_text(body, encoding="utf-8")
    source = Source(path="x.jsonl", use="tasks", licence="CC0-1.0")
    order = {
        "vertical": "finance",
        "file": str(tmp_path / "writer.yaml"),
        "seed": 3,
        "documents": 5,
        "sources": {"notes": source},
    }
    return WriteSection.model_validate(order | changes)


@pytest.mark.parametrize("vertical", VERTICALS)
def test_stage_writes_the_recipes_task_sources_and_the_same_bytes_again(vertical: str, tmp_path: Path) -> None:
    recipe = load_recipe(vertical)
    order = WriteSection(vertical=vertical, file=recipe.writer.file, seed=7, documents=6, sources=recipe.sources)
    made = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        made.append(write(order, {}, tmp_path / name)[0])
    assert made[0].files == made[1].files
    needed = {task.source for task in recipe.tasks.values()}
    assert needed <= made[0].metrics["documents"].keys()
    assert {f"{name}.jsonl" for name in made[0].metrics["documents"]} == set(made[0].files)
    for name in needed:
        for document in read_jsonl(made[0].path / f"{name}.jsonl", Document):
            assert document.synthetic and document.licence == "CC0-1.0" and document.entity and document.source == name


def test_another_seed_writes_other_documents_and_a_document_does_not_depend_on_how_many_are_asked() -> None:
    few, many = written("finance", "sec_cover_pages", 3), written("finance", "sec_cover_pages", 9)
    assert few == many[:3]
    assert few[0].text != written("finance", "sec_cover_pages", 1, seed=8)[0].text


def test_every_gold_value_of_a_cover_page_is_printed() -> None:
    for document in written("finance", "sec_cover_pages", 300):
        for field, value in document.metadata["cover"].items():
            for one in value if isinstance(value, list) else [value]:
                assert one in document.text, (field, one, document.text)


def layout(document: Document) -> str:
    """The page with its values and rules taken out: what is left is layout."""
    text = document.text
    values = [
        v for value in document.metadata["cover"].values() for v in (value if isinstance(value, list) else [value])
    ]
    for value in sorted(values, key=len, reverse=True):
        text = re.sub(re.escape(value), "V", text, flags=re.IGNORECASE)
    return re.sub(r"[\d_\-*]+", "0", text)


def test_cover_pages_vary_in_layout_and_length() -> None:
    pages = written("finance", "sec_cover_pages", 300)
    assert len({layout(page) for page in pages}) >= 100
    lines = {line for page in pages for line in layout(page).splitlines()}
    assert len(lines) >= 300
    usual = sum(600 <= len(page.text) <= 1400 for page in pages)
    assert usual >= 0.85 * len(pages)


def test_statement_figures_are_printed_and_scaled() -> None:
    for document in written("finance", "sec_statements", 40):
        assert document.metadata["financial_facts"]
        for fact in document.metadata["financial_facts"]:
            assert fact["as_printed"] in document.text
            printed = float(fact["as_printed"].strip("()").replace(",", ""))
            assert abs(fact["value"]) == pytest.approx(printed * 10 ** int(fact["scale"]))


def test_regulation_paragraphs_list_what_they_cite_and_define() -> None:
    paragraphs = [
        document.metadata | {"shown": document.text} for document in written("real_estate", "reg_paragraphs", 120)
    ]
    assert any(row["citations"] for row in paragraphs) and any(row["defines"] for row in paragraphs)
    for row in paragraphs:
        assert [one for entry in row["internal_citations"] for one in entry["spans"]] == row["citations"]
        assert all(one in row["shown"] for one in row["citations"])
        assert all(entry["term"] in row["shown"].casefold() for entry in row["defines"])


def test_relations_and_contract_types_have_all_labels_of_the_task() -> None:
    relations = {d.metadata["relation"] for d in written("corporate_intelligence", "company_relations", 400)}
    types = {d.metadata["type"] for d in written("corporate_intelligence", "contract_types", 200)}
    tasks = load_recipe("corporate_intelligence").tasks
    assert len(relations) == 12 and all(name in tasks["company_relations"].prompt for name in relations)
    assert len(types) == 6 and all(name in tasks["contract_types"].prompt for name in types)
    for document in written("corporate_intelligence", "company_relations", 60):
        assert document.metadata["e1_name"] in document.text and document.metadata["e2_name"] in document.text
        assert document.metadata["context"] == document.text.split()


@pytest.mark.parametrize(
    ("vertical", "task"),
    [
        (v, name)
        for v in VERTICALS
        for name, task in load_recipe(v).tasks.items()
        if task.suite == "vertical" and not task.each
    ],
)
def test_wrong_answers_name_fields_of_the_task_and_are_never_right(vertical: str, task: str) -> None:
    spec = load_recipe(vertical).tasks[task]
    seen: set[str] = set()
    for document in written(vertical, spec.source, 80):
        for field, options in document.metadata.get("wrong", {}).items():
            gold = document.metadata.get("cover", document.metadata).get(field)
            for option in options:
                seen.add(field)
                assert option["fault"] and option["value"] not in ("", None, [])
                golds = gold if isinstance(gold, list) else [gold]
                assert normalise(option["value"]) not in {normalise(one) for one in [*golds[:1], gold]}
    assert seen & spec.fields.keys()


def test_swapped_digits_keep_a_figures_shape() -> None:
    for document in written("finance", "sec_cover_pages", 60):
        for option in document.metadata["wrong"].get("irs_ein", []):
            if option["fault"] == "swapped_digit":
                assert re.fullmatch(r"\d\d-\d{7}", option["value"])
                assert sorted(option["value"]) == sorted(document.metadata["cover"]["irs_ein"])


def test_every_fault_of_a_writer_file_is_reported_at_once(tmp_path: Path) -> None:
    body = """
tables: {towns: towns.csv, bare: []}
sources:
  notes:
    text: "{nobody} lives in {town.mayor} {town.name|shout} {"
    slots: {town: {row: cities}}
    phrases: {loop: "{loop}"}
    collect: [ghost]
    wrong: {price: [swapped_digit]}
"""
    with pytest.raises(RecipeError) as caught:
        write(section(tmp_path, body), {}, tmp_path)
    shown = str(caught.value)
    assert "towns.csv" in shown and "needs rows" in shown
    (tmp_path / "towns.csv").write_text("name\nYork\n", encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        write(section(tmp_path, body.replace(", bare: []", "")), {}, tmp_path)
    shown = str(caught.value)
    for part in (
        "nobody",
        "town.mayor",
        "shout",
        "brace",
        "no such table, got cities",
        "ghost",
        "loop -> loop",
        "got price",
    ):
        assert part in shown
    assert len(caught.value.faults) >= 8


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("sources: {notes: {text: a, sloths: {}}}", "did you mean slots?"),
        ("sources: {notes: {text: a, slots: {n: {number: {low: 3, high: 1}}}}}", "low <= high"),
        ("sources: {notes: {text: a, slots: {n: {row: x, digits: '#'}}}}", "exactly one"),
        ("sources: {notes: {text: a, wrong: {x: [no_such_rule]}}}", "needs values"),
        ("sources: [", "is not YAML"),
        ("include: [writer.yaml]\nsources: {notes: {text: a}}", "includes itself"),
        ("include: [absent.yaml]\nsources: {notes: {text: a}}", "cannot be read"),
        ("sources: {other: {text: a}}", "writes none of the recipe's sources"),
        ("sources: {notes: {text: '{item}', slots: {item: a}}}", "rename it"),
    ],
)
def test_a_broken_writer_file_is_refused_with_its_reason(body: str, part: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        write(section(tmp_path, body), {}, tmp_path)
    assert part in str(caught.value)


def test_templates_reach_nothing_but_their_slots(tmp_path: Path) -> None:
    for attack in ("{name.__class__}", "{__import__}", "{name!r}", "{0}", "{name[0]}"):
        body = f"sources: {{notes: {{text: {json.dumps(attack)}, slots: {{name: a}}}}}}"
        with pytest.raises(RecipeError):
            write(section(tmp_path, body), {}, tmp_path)


def test_a_digest_changes_with_a_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n", encoding="utf-8")
    (tmp_path / "w.yaml").write_text(
        "tables: {t: t.csv}\nsources: {n: {text: '{r.a}', slots: {r: {row: t}}}}", encoding="utf-8"
    )
    before = writer_digest("finance", str(tmp_path / "w.yaml"))
    (tmp_path / "t.csv").write_text("a\n2\n", encoding="utf-8")
    assert writer_digest("finance", str(tmp_path / "w.yaml")) != before


def companies() -> list[dict[str, str]]:
    with (RECIPES / "general/facts/companies.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.shared
def test_company_facts_agree_with_the_public_list(shared_data: Path) -> None:
    with (shared_data / "corporate/sp500_constituents/constituents.csv").open(encoding="utf-8", newline="") as lines:
        known = {row["Symbol"]: row for row in csv.DictReader(lines)}
    table = companies()
    assert len(table) >= 80
    checked = [row for row in table if row["ticker"] in known]
    assert len(checked) >= 80
    assert {row["ticker"]: row["cik"] for row in checked} == {
        row["ticker"]: known[row["ticker"]]["CIK"].lstrip("0") for row in checked
    }
    for row in checked:
        assert row["sector"] == known[row["ticker"]]["GICS Sector"], row["ticker"]
        listed = set(re.findall(r"\w+", known[row["ticker"]]["Security"].casefold()))
        assert listed & set(re.findall(r"\w+", row["name"].casefold())), row["ticker"]


@pytest.mark.shared
def test_no_real_filer_of_the_finance_corpus_is_among_the_companies(shared_data: Path) -> None:
    """The evaluation's filers stay unseen: the table holds none of them."""
    with (shared_data / "finance/sec_xbrl_facts/data.jsonl").open(encoding="utf-8") as lines:
        filers = {json.loads(line)["ticker"] for line in lines}
    assert not filers & {row["ticker"] for row in companies()}
