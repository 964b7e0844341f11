"""Four tokenizer outcomes, and the rule that picks a student's loss from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contracts.errors import FitError, InputError, TokenizerMismatch
from recipes.training_sections import Student
from tests.tiny_model import tiny_tokenizer
from training.choose_loss import by_rule, choose_loss, top_k_bytes
from training.tokenizers import Verdict, require_shared_ids, tokenizer_fingerprint, tokenizer_verdict


def stored(folder: Path, change=lambda tokenizer: None, more_text: tuple[str, ...] = ()) -> Path:
    tokenizer = tiny_tokenizer(more_text)
    change(tokenizer)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    broken = json.loads((stored(tmp_path / "broken") / "tokenizer.json").read_text())
    for letter in "aeio":
        broken["model"]["merges"] = [pair for pair in broken["model"]["merges"] if letter not in "".join(pair)]
        broken["model"]["vocab"] = {k: v for k, v in broken["model"]["vocab"].items() if letter not in k}
    (tmp_path / "broken" / "tokenizer.json").write_text(json.dumps(broken))
    return {
        "teacher": stored(tmp_path / "teacher"),
        "same": stored(tmp_path / "same"),
        "longer": stored(tmp_path / "longer", lambda one: one.add_tokens(["<|unused_1|>", "<|unused_2|>"])),
        "other": stored(tmp_path / "other", more_text=("zebra quagga jackal " * 5, "wolverine " * 9)),
        "broken": tmp_path / "broken",
    }


@pytest.mark.parametrize(
    ("student", "expected"),
    [("same", "identical"), ("longer", "pad_tail_safe"), ("other", "cross_tokenizer"), ("broken", "impossible")],
)
def test_the_four_outcomes_both_ways_round(folders: dict[str, Path], student: str, expected: Verdict):
    teacher, other = tokenizer_fingerprint(folders["teacher"]), tokenizer_fingerprint(folders[student])
    assert tokenizer_verdict(teacher, other) == expected
    assert tokenizer_verdict(other, teacher) == expected
    assert (teacher.digest == other.digest) is (expected == "identical")


def test_equal_width_is_no_proof(folders: dict[str, Path]):
    teacher, other = tokenizer_fingerprint(folders["teacher"]), tokenizer_fingerprint(folders["other"])
    assert len(teacher.strings) == len(other.strings)
    with pytest.raises(TokenizerMismatch, match="small"):
        require_shared_ids(tokenizer_verdict(teacher, other), "small")


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        tokenizer_fingerprint(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\x00 not json")
    with pytest.raises(InputError, match="no JSON"):
        tokenizer_fingerprint(tmp_path)


@pytest.mark.parametrize(
    ("verdict", "wanted", "captured", "free", "expected"),
    [
        ("identical", "auto", True, None, "top_k"),
        ("pad_tail_safe", "auto", True, None, "top_k"),
        ("identical", "top_k", True, 10, "top_k"),
        ("identical", "sequence", True, None, "sequence"),
        ("cross_tokenizer", "auto", True, None, "sequence"),
        ("identical", "auto", False, None, "sequence"),
        ("cross_tokenizer", "auto", False, None, "sequence"),
        ("identical", "auto", True, 9, "sequence"),
    ],
)
def test_the_rule(verdict, wanted, captured, free, expected):
    loss, reason = by_rule(verdict, wanted, captured=captured, needed_bytes=10, free_bytes=free)
    assert loss == expected
    assert reason


@pytest.mark.parametrize(
    ("verdict", "wanted", "captured", "error"),
    [
        ("cross_tokenizer", "top_k", True, TokenizerMismatch),
        ("impossible", "sequence", True, TokenizerMismatch),
        ("identical", "top_k", False, FitError),
    ],
)
def test_what_cannot_be_had_is_refused(verdict, wanted, captured, error):
    with pytest.raises(error, match="hint"):
        by_rule(verdict, wanted, captured=captured)


def test_the_choice_reads_the_tokenizers_where_they_are(folders: dict[str, Path]):
    student = Student(stands_for="7B", model="sibling", optimiser={"learning_rate": 1e-4})
    assert choose_loss(student, folders["teacher"], folders["other"])[0] == "sequence"
    assert choose_loss(student, folders["teacher"], folders["longer"])[0] == "top_k"
    assert choose_loss(student, Path("not/yet/there"))[0] == "top_k"
    assert top_k_bytes(1_000, 50_000) == 800_000_000
