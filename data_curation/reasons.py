"""What every reason on the card means, in a sentence, with the thresholds that were in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from data_curation.arrivals import EARLIEST_YEAR, LATEST_YEAR
from recipes.schema import Curation
from recipes.text_rules import QualityRule


def explained(reasons: Iterable[str], curation: Curation, rules: Mapping[str, QualityRule]) -> dict[str, str]:
    """Reason to its meaning; a reason that nobody explains is left out."""
    house = _house(curation)
    found: dict[str, str] = {}
    for reason in sorted(set(reasons)):
        if reason in house:
            found[reason] = house[reason]
        elif reason in rules:
            found[reason] = _of_rule(rules[reason], curation.quality.get(reason))
    return found


def _of_rule(rule: QualityRule, threshold: float | None) -> str:
    """A quality rule; a source may have set another threshold, which stands beside each document that fell."""
    measure = rule.of.replace("_", " ") + (f" / {rule.per.replace('_', ' ')}" if rule.per else "")
    bound = "below" if rule.least is not None else "above"
    value = rule.threshold if threshold is None else threshold
    source = f", {rule.source}" if rule.source else ""
    return f"{measure} {bound} {value:g} (rules of {rule.family}{source})"


def _house(curation: Curation) -> dict[str, str]:
    alike = f"at least {curation.near_duplicate_jaccard:.0%} of its runs of {curation.shingle_words} words"
    return {
        "duplicate_id": "its id stands twice in one file",
        "impossible_date": f"its date is no day between {EARLIEST_YEAR} and {LATEST_YEAR}",
        "no_text": "its text field is empty, or holds nothing but blanks",
        "too_few_words": f"fewer than {curation.min_words} words",
        "too_many_symbols": f"more than {curation.max_symbol_share:.0%} of it is neither letter nor digit",
        "repeated_lines": f"more than {curation.max_repeated_line_share:.0%} of its lines stood before",
        "personal_data": "it holds personal data, and the recipe rejects such documents",
        "other_language": f"told to be in another language than {', '.join(curation.languages)}",
        "exact_duplicate": "the same text, but for case and blanks, stands in a document that stays",
        "near_duplicate": f"{alike} are those of a document that stays, with its source's boilerplate and without",
        "near_duplicate_of_evaluation": "a near-duplicate of a document that is held out to measure on",
        "near_duplicate_of_training": "held out, and a near-duplicate of a document that is trained on",
        "contaminated": f"at least {curation.decontamination_coverage:.0%} of an evaluation item's own runs of "
        f"{curation.decontamination_words} words (8 for short items) stand in it, and the answer beside them",
        "removal_requested": "somebody asked that it be removed, or it is an exact copy of such a document",
        "over_max_documents": "sound, but over the documents that the recipe takes of this source at its scale",
        "over_max_pretraining_chars": "sound, but over the characters that the recipe takes of a source at its scale",
        "entity_held_out": "written about an entity that is held out to measure on",
        "too_late_to_train": f"dated from {curation.holdout_from} on: measured on at most, never trained on",
    }
