"""Language and main text: the library that is used against the others, on the cases that the tests keep.

    python -m venv DIR && DIR/bin/pip install resiliparse==2.0.1 selectolax==1.0.2
    .venv/bin/python -m benchmarks.curation.text_candidates --candidates DIR/bin/python [--pages FOLDER_OF_HTML]

Printed: of each candidate the texts told right, by kind; the pieces of pages lost and the pieces beside the text that
stayed; with ``--pages`` also seconds and the figures that survive of inline-XBRL pages. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from data_curation.html_text import html_to_text
from data_curation.language import UNDETERMINED, language_of
from data_curation.main_text import main_text

CASES = Path(__file__).parent.parent.parent / "tests" / "data_curation"
FIGURE = re.compile(r"<ix:nonFraction[^>]*>(?:<[^>]*>)*([\d,.]+)<")
PEER = """
import json, sys, time
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.lang import detect_fast
from selectolax.lexbor import LexborHTMLParser

def selectolax_text(html):
    page = LexborHTMLParser(html)
    for node in page.css("script,style,noscript,template,svg,head,nav,footer,aside,header,form,button,select"):
        node.decompose()
    return page.body.text(separator="\\n") if page.body else ""

TOOLS = {
    "language": {"resiliparse detect_fast": lambda text: detect_fast(text)[0]},
    "page": {
        "resiliparse main content": lambda html: extract_plain_text(html, main_content=True, alt_texts=False),
        "resiliparse all": lambda html: extract_plain_text(html, alt_texts=False),
        "selectolax": selectolax_text,
    },
}
for line in sys.stdin:
    kind, text = json.loads(line)
    found = {}
    for name, tool in TOOLS[kind].items():
        start = time.process_time()
        found[name] = tool(text), time.process_time() - start
    print(json.dumps(found), flush=True)
"""
Tool = Callable[[str], str]
Given = dict[str, tuple[str, float]]


def main() -> None:
    """Ask every candidate, then ours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=Path, required=True, help="the interpreter of their environment")
    parser.add_argument("--pages", type=Path, help="a folder of inline-XBRL pages")
    options = parser.parse_args()
    language_of("The model is loaded before the clock runs.")
    result = {"language": _languages(options.candidates), "pages": _kept_pages(options.candidates)}
    if options.pages:
        result["filings"] = _filings(sorted(options.pages.glob("*.html")), options.candidates)
    print(json.dumps(result))


def _asked(kind: str, texts: list[str], python: Path, ours: Mapping[str, Tool]) -> list[Given]:
    """What each tool made of each text, and its CPU seconds."""
    given = "".join(json.dumps([kind, text]) + "\n" for text in texts)
    done = subprocess.run([python, "-c", PEER], input=given, capture_output=True, text=True, check=True)
    answers: list[Given] = []
    for text, line in zip(texts, done.stdout.splitlines(), strict=True):
        answer: Given = {name: (made, seconds) for name, (made, seconds) in json.loads(line).items()}
        for name, tool in ours.items():
            start = time.process_time()
            answer[name] = tool(text), time.process_time() - start
        answers.append(answer)
    return answers


def _languages(python: Path) -> dict[str, Any]:
    cases = yaml.safe_load((CASES / "language_cases.yaml").read_text("utf-8"))
    items = [(code, kind, text) for code, kinds in cases.items() for kind, texts in kinds.items() for text in texts]
    right: dict[str, Counter[str]] = defaultdict(Counter)
    asked: Counter[str] = Counter()
    for (code, kind, _), answer in zip(
        items, _asked("language", [text for *_, text in items], python, {"fastText, small": language_of}), strict=True
    ):
        label = f"{code if code in ('en', UNDETERMINED) else 'other'} {kind}"
        asked[label] += 1
        for name, (told, _) in answer.items():
            right[name][label] += told.replace("unknown", UNDETERMINED) == code
    for name, counts in right.items():
        print(f"{name}: " + ", ".join(f"{label} {counts[label]} of {asked[label]}" for label in asked))
    return {name: round(counts.total() / asked.total(), 4) for name, counts in right.items()}


def _kept_pages(python: Path) -> dict[str, Any]:
    pages = sorted((CASES / "pages").glob("*.html"))
    result: dict[str, Counter[str]] = defaultdict(Counter)
    ours = {"markup only": main_text, "whole page": html_to_text}
    for page, answer in zip(
        pages, _asked("page", [page.read_text("utf-8") for page in pages], python, ours), strict=True
    ):
        case = yaml.safe_load(page.with_suffix(".yaml").read_text("utf-8"))
        for name, (text, _) in answer.items():
            flat = " ".join(text.split())
            lost = [one for one in case["keep"] if " ".join(one.split()) not in flat]
            stayed = [one for one in [*case["drop"], *case.get("missed", [])] if one in flat]
            torn = [
                row for row in case.get("rows", []) if not any(all(c in ln for c in row) for ln in text.split("\n"))
            ]
            result[name].update(lost=len(lost), stayed=len(stayed), torn_rows=len(torn))
            result[name].update(wanted=len(case["keep"]), beside=len(case["drop"]) + len(case.get("missed", [])))
    for name, counts in result.items():
        print(f"{name}: {dict(counts)}")
    return {name: dict(counts) for name, counts in result.items()}


def _filings(pages: list[Path], python: Path) -> dict[str, Any]:
    result: dict[str, Any] = {}
    texts = [page.read_text("utf-8") for page in pages]
    for page, html, answer in zip(pages, texts, _asked("page", texts, python, {"markup only": main_text}), strict=True):
        figures = {one.strip(".,") for one in FIGURE.findall(html)}
        for name, (text, seconds) in answer.items():
            missing = len(figures - set(re.findall(r"[\d,.]*\d", text)))
            print(f"{page.name}, {name}: {missing} of {len(figures)} figures lost, {len(text)} chars, {seconds:.2f} s")
            result[f"{page.name} {name}"] = {"lost": missing, "seconds": round(seconds, 3)}
    return result


if __name__ == "__main__":
    main()
