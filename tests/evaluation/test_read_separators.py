"""A text may hold characters that Python takes for line ends and JSONL does not."""

from __future__ import annotations

from pathlib import Path

from contracts.documents import ChatExample, write_jsonl
from evaluation.asking import read_examples


def test_line_separators_in_a_text_end_no_line(tmp_path: Path) -> None:
    prompt = [{"role": "user", "content": "a\u2028b\x85c\x0bd"}]
    example = ChatExample(id="1", task="t", source="s", document_id="d", prompt=prompt, completion="x")
    write_jsonl(tmp_path / "a.jsonl", [example, example])
    assert read_examples(tmp_path / "a.jsonl") == [example, example]
