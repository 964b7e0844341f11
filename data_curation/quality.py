"""Quality rules: the reason a text falls, or None. The cheap ones of Gopher's and C4's published rules."""

from __future__ import annotations

from collections import Counter

from recipes.schema import Curation


def fault(text: str, curation: Curation) -> tuple[str, str] | None:
    """The first rule a text breaks as ``(reason, detail)``, None for a text that may stay."""
    if not text.strip():
        return "no_text", ""
    words = text.split()
    if len(words) < curation.min_words:
        return "too_few_words", f"{len(words)} words, least {curation.min_words}"
    symbols = sum(1 for character in text if not character.isalnum() and not character.isspace())
    share = symbols / max(1, sum(1 for character in text if not character.isspace()))
    if share > curation.max_symbol_share:
        return "too_many_symbols", f"share {share:.2f}, most {curation.max_symbol_share}"
    share = repeated_line_share(text)
    if share > curation.max_repeated_line_share:
        return "repeated_lines", f"share {share:.2f}, most {curation.max_repeated_line_share}"
    return None


def repeated_line_share(text: str) -> float:
    """Share of lines that stood before in the same text; texts of fewer than five lines have none."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if len(lines) < 5:
        return 0.0
    return sum(count - 1 for count in Counter(lines).values()) / len(lines)
