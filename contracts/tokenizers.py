"""Do two models share token ids? Decided by the id-to-string map and by probe strings, never by sizes alone.

=================  ====================================================================================
identical          every id means the same string, and the probes become the same ids
pad_tail_safe      the same, but one side has more ids after the other's last, which no text produces
cross_tokenizer    both can write any text, in ids of their own: only text can be shared
impossible         one side cannot write the probe strings at all
=================  ====================================================================================

A room loads ``tokenizer_file(folder)`` with the library it has and hands it to ``fingerprint_of``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from contracts.errors import InputError

Verdict = Literal["identical", "pad_tail_safe", "cross_tokenizer", "impossible"]
SHARED: tuple[Verdict, ...] = ("identical", "pad_tail_safe")
"""The verdicts under which a loss may score the teacher's ids."""
PROBES = (
    "Net revenue was $1,204.50 million in Q3 2025, up 7.3%.",
    '{"cik": "0000320193", "filed": "2026-02-14", "amounts": [12, -3.5e6]}',
    "  leading blanks,\ttabs\nand\n\nline ends  ",
    "Ünïcödé, €, 株式会社, Ελλάδα, 𝔘, 👩‍💻",
    "def f(x): return x**2  # comment",
)


class Encodes(Protocol):
    """What is asked of a loaded tokenizer; ``tokenizers.Tokenizer`` is one."""

    def no_truncation(self) -> None: ...

    def no_padding(self) -> None: ...

    def encode(self, sequence: str, /, *, add_special_tokens: bool) -> Any: ...

    def decode(self, ids: Any, /, *, skip_special_tokens: bool) -> str: ...

    def get_vocab(self, with_added_tokens: bool) -> dict[str, int]: ...


@dataclass(frozen=True)
class TokenizerFingerprint:
    """What a tokenizer does. ``strings`` maps id to token; ``probe_ids`` are the ids of ``PROBES``."""

    strings: dict[int, str]
    probe_ids: tuple[tuple[int, ...], ...]
    lossless: bool
    """Every probe comes back from its ids."""

    @property
    def digest(self) -> str:
        """SHA-256 over the map and the probes."""
        return hashlib.sha256(repr((sorted(self.strings.items()), self.probe_ids)).encode()).hexdigest()


def tokenizer_file(folder: Path) -> Path:
    """The ``tokenizer.json`` of a model's folder. Raises InputError where there is none that describes a tokenizer."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise InputError(str(folder), "has no tokenizer.json", hint="is this the folder of a published model?")
    try:
        described = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(str(file), "is no JSON", got=error, hint="fetch the model again") from error
    if not isinstance(described, dict) or not described.get("model"):
        raise InputError(str(file), "describes no tokenizer", hint="fetch the model again")
    return file


def fingerprint_of(tokenizer: Encodes) -> TokenizerFingerprint:
    """The fingerprint of a loaded tokenizer; its truncation and padding are switched off."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ids = [tokenizer.encode(probe, add_special_tokens=False).ids for probe in PROBES]
    # A word-piece tokenizer puts a blank before the first word back wrongly; edges do not decide about text.
    lossless = all(
        tokenizer.decode(one, skip_special_tokens=False).strip() == probe.strip()
        for one, probe in zip(ids, PROBES, strict=True)
    )
    strings = {number: token for token, number in tokenizer.get_vocab(with_added_tokens=True).items()}
    return TokenizerFingerprint(strings, tuple(tuple(one) for one in ids), lossless)


def tokenizer_verdict(teacher: TokenizerFingerprint, student: TokenizerFingerprint) -> Verdict:
    """Which of the four outcomes holds."""
    if not (teacher.lossless and student.lossless):
        return "impossible"
    if teacher.probe_ids == student.probe_ids:
        if teacher.strings == student.strings:
            return "identical"
        fewer, more = sorted((teacher.strings, student.strings), key=len)
        tail_only = min(more.keys() - fewer.keys(), default=0) > max(fewer, default=0)
        if tail_only and all(more[number] == token for number, token in fewer.items()):
            return "pad_tail_safe"
    return "cross_tokenizer"
