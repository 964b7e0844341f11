"""A teacher behind an API: its tokens become an expense at the price that the settings tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from contracts.usage import Usage
from flows.build import Build
from ledger.charges import Expense, book_expense
from ledger.database import UnreachableError
from recipes.section import Section
from recipes.stage_sections import AskSection


def book_api_tokens(build: Build, stage: str, identity: str, section: Section, usage: Usage) -> None:
    """Book what an endpoint's tokens cost; without a price the build's notes say that the cost is unknown.

    Where the ledger cannot be reached the note says what is left to book by command: the artifact is there already.
    """
    if not isinstance(section, AskSection):
        return
    per_in = build.settings.teacher_usd_per_1m_tokens_in
    per_out = build.settings.teacher_usd_per_1m_tokens_out
    counted = f"{usage.tokens_in:,} tokens in, {usage.tokens_out:,} out"
    if per_in is None or per_out is None:
        build.note(
            f"{stage}: {counted} of an API whose cost is unknown: STILLROOM_TEACHER_USD_PER_1M_TOKENS_IN and _OUT"
        )
        return
    ended = datetime.now(UTC)
    micro_usd = round(usage.tokens_in * per_in + usage.tokens_out * per_out)  # USD per million is micro-USD per token
    booked = Expense(
        category="api_tokens",
        provider=section.endpoint,
        micro_usd=micro_usd,
        quantity=usage.tokens_in + usage.tokens_out,
        unit="Tokens",
        period_start=ended - timedelta(seconds=usage.wall_seconds),
        period_end=ended,
        build_id=build.id,
        stage=stage,
        artifact_fingerprint=identity,
        evidence=f"counted by the endpoint: {counted}, at {per_in:g} and {per_out:g} USD per 1M",
        note=section.model,
    )
    try:
        book_expense(build.ledger, booked)
    except UnreachableError as error:
        usd = f"{micro_usd / 1e6:.6f} USD of API tokens ({counted})"
        build.note(f"{stage}: {usd} are not booked, {error.line}: stillroom ledger book api_tokens")
