"""Teacher's and student's tokenizers as they lie on disk. What the verdicts mean stands in ``contracts.tokenizers``."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from contracts.errors import TokenizerMismatch
from contracts.tokenizers import (
    SHARED,
    TokenizerFingerprint,
    Verdict,
    fingerprint_of,
    tokenizer_file,
    tokenizer_verdict,
)

__all__ = ["TokenizerFingerprint", "Verdict", "require_shared_ids", "tokenizer_fingerprint", "tokenizer_verdict"]


def tokenizer_fingerprint(folder: Path) -> TokenizerFingerprint:
    """The fingerprint of the tokenizer stored in ``folder``. Raises InputError where there is none that loads."""
    return fingerprint_of(Tokenizer.from_file(str(tokenizer_file(folder))))


def require_shared_ids(verdict: Verdict, student: str) -> None:
    """Raise TokenizerMismatch where a loss on the teacher's probabilities would score ids of another vocabulary."""
    if verdict in SHARED:
        return
    raise TokenizerMismatch(
        f"student {student}",
        "loss top_k needs the teacher's token ids",
        got=f"tokenizer verdict {verdict}",
        hint="set loss: sequence (distil by text), or take a student of the teacher's family",
    )
