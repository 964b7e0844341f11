"""Money as it comes in: decimal USD to integer micro-USD, and nothing but USD."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from contracts.errors import LedgerError

LARGEST_USD = 1_000_000_000
"""More in one amount is a slip of the pen."""


def micro_usd(
    subject: str, amount: Decimal | float | str, currency: str = "USD", *, signed: bool = False, tiny: bool = False
) -> int:
    """USD to integer micro-USD, rounded.

    Raises LedgerError for another currency, for what is no amount, is not finite or beyond measure, is negative unless
    ``signed``, or would be rounded to nothing unless ``tiny`` (the lines of an invoice may be so small).
    """
    if currency.strip().upper() != "USD":
        hint = "the ledger keeps USD: convert at the invoice's rate, and name rate and date in the evidence"
        raise LedgerError(subject, "must be in USD", got=currency.strip() or "no currency", hint=hint)
    try:
        usd = Decimal(str(amount))
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or (usd < 0 and not signed):
        range_told = "an amount of USD" if signed else "an amount of USD, zero or more"
        raise LedgerError(subject, f"must be {range_told}", got=amount, hint="a plain number such as 1234.56")
    if abs(usd) > LARGEST_USD:
        raise LedgerError(subject, f"must be no more than {LARGEST_USD:,} USD", got=amount, hint="is the unit USD?")
    micro = round(usd * 1_000_000)
    if usd and not micro and not tiny:
        raise LedgerError(subject, "is less than a micro-USD, the least that is kept", got=amount, hint="sum it up")
    return micro
