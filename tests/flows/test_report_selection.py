"""The report's page shows every verdict on every candidate, escaped."""

from __future__ import annotations

import re

from contracts.reports import Check, SelectionReport
from flows.report import render_page
from tests.flows.build_sample import whole_build

HOSTILE = "<script>window.injected=1</script>"


def _page(*checks: Check) -> str:
    build = whole_build()
    assert build.selection is not None
    candidates = [one.model_copy(update={"checks": list(checks)}) for one in build.selection.candidates[:1]]
    selection = SelectionReport(chosen=build.selection.chosen, why=build.selection.why, candidates=candidates)
    return render_page(build.model_copy(update={"selection": selection}))


def test_each_check_is_a_row_with_its_verdict_and_reason() -> None:
    page = _page(
        Check(kind="tokenizer", passed=False, reason="small (Qwen3-4B): other token ids by their files"),
        Check(kind="architecture", passed=True, reason=f"vLLM serves {HOSTILE}"),
    )
    drawn = re.search(r'id="selection-checks">.*?</table>', page, re.DOTALL)
    assert drawn is not None
    tokenizer, architecture = re.findall(r"<tr><td>.*?</tr>", drawn[0])
    assert "SmolLM2-135M-Instruct" in tokenizer and "SmolLM2-135M-Instruct" not in architecture
    assert 'bad">no<' in tokenizer and "other token ids by their files" in tokenizer
    assert 'good">yes<' in architecture and "&lt;script&gt;" in architecture
    assert HOSTILE not in page


def test_a_report_from_before_there_were_checks_still_has_its_page() -> None:
    assert "selection-checks" not in _page()
