"""Quality rules: the reason a text falls, or None.

The house's own few hold for every text; the published ones (``recipes/quality_rules.yaml``) for pretraining text, by
source. They are pure functions of a text's counts (``text_statistics``), one at a time or a whole column at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_curation.text_statistics import TextStatistics
from recipes.schema import Curation, Source
from recipes.text_rules import QualityRule

PASSES = -1
LEAST_LINES = 5


def house_rules(curation: Curation) -> dict[str, QualityRule]:
    """The house's own few, with the recipe's thresholds."""
    return {
        "no_text": QualityRule(family="house", of="visible_characters", least=1),
        "too_few_words": QualityRule(family="house", of="tokens", least=curation.min_words),
        "too_many_symbols": QualityRule(
            family="house", of="symbol_characters", per="visible_characters", most=curation.max_symbol_share
        ),
        "repeated_lines": QualityRule(
            family="house", of="duplicate_lines", per="lines", most=curation.max_repeated_line_share
        ),
    }


def for_house_rules(rows: NDArray[Any]) -> NDArray[Any]:
    """Counts as the house's rules read them: a text of fewer than five lines repeats none."""
    read = rows.copy()
    read["duplicate_lines"][rows["lines"] < LEAST_LINES] = 0
    return read


def rules_of(source: Source, curation: Curation, catalogue: Mapping[str, QualityRule]) -> dict[str, QualityRule]:
    """The published rules that hold for a source, with its thresholds: its families, less what is switched off."""
    families = source.quality_families
    if families is None:
        families = curation.quality_families if source.use == "pretraining" else ()
    thresholds = curation.quality | source.quality
    chosen: dict[str, QualityRule] = {}
    for name, rule in catalogue.items():
        threshold = thresholds.get(name, rule.threshold)
        if rule.family in families and threshold is not None:
            chosen[name] = rule.at(threshold)
    return chosen


def broken(statistics: TextStatistics, rules: Mapping[str, QualityRule]) -> tuple[str, str] | None:
    """The first rule that a text breaks as ``(name, detail)``, None where it keeps them all."""
    for name, rule in rules.items():
        value = _value(rule, getattr(statistics, rule.of), getattr(statistics, rule.per) if rule.per else None)
        if _breaks(rule, value):
            return name, detail(rule, float(value))
    return None


def first_broken(rows: NDArray[Any], rules: Mapping[str, QualityRule]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """``broken`` for a column of counts (``text_statistics.ROW``): each text's rule by its place in ``rules``, or
    ``PASSES``, and the value that broke it."""
    places = np.full(len(rows), PASSES, np.int64)
    values = np.zeros(len(rows))
    for place, rule in enumerate(rules.values()):
        value = _value(rule, rows[rule.of].astype(np.float64), rows[rule.per].astype(np.float64) if rule.per else None)
        falls = _breaks(rule, value) & (places == PASSES)
        places[falls], values[falls] = place, value[falls]
    return places, values


def detail(rule: QualityRule, value: float) -> str:
    """Why a value breaks its rule, for people."""
    bound = f"least {rule.least:g}" if rule.least is not None else f"most {rule.most:g}"
    return f"{rule.of}{' / ' + rule.per if rule.per else ''} {value:.3g}, {bound}"


def _value(rule: QualityRule, of: Any, per: Any) -> Any:
    """A count or a share; a share of nothing is 0."""
    return of if rule.per is None else of / np.maximum(per, 1)


def _breaks(rule: QualityRule, value: Any) -> Any:
    return value < rule.least if rule.least is not None else value > rule.most
