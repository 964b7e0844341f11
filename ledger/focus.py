"""The ledger in FOCUS 1.3 (FinOps Open Cost and Usage Specification, December 2025), readable as 1.2 too.

One row a charge: what one lease held in one month at one price, an expense, an adjustment. Estimates never go in, and a
charge without a price cannot: FOCUS has no unknown cost. The two columns that 1.3 deprecates (ProviderName,
PublisherName) are filled. ConsumedQuantity counts device-hours. Adjustments are Corrections. Our own columns begin with
``x_``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import and_, select

from contracts.errors import LedgerError
from ledger.book import Ledger
from ledger.budget_state import period_bounds
from ledger.events import utc
from ledger.views import charge

SERVICES = {
    "gpu": ("AI and Machine Learning", "Model building on accelerators"),
    "cpu": ("Compute", "Model building on processors"),
    "annotation": ("AI and Machine Learning", "Annotation"),
    "api_tokens": ("AI and Machine Learning", "Model API"),
    "storage": ("Storage", "Storage"),
    "people": ("Other", "People"),
    "licence": ("Other", "Licences"),
    "other": ("Other", "Other"),
    "adjustment": ("AI and Machine Learning", "Model building"),
}
"""Category of a charge to ServiceCategory and ServiceName."""
NO_HOST = "Not Applicable"
QUANTITY_PLACES = Decimal("1e-12")


@dataclass(frozen=True)
class Billing:
    """Who bills whom: the platform its own organisation, unless told otherwise."""

    account_id: str = "stillroom"
    account_name: str = "Stillroom"
    issuer: str = "Stillroom"
    host: str = "self-hosted"


def focus_rows(
    ledger: Ledger,
    start: datetime | None = None,
    end: datetime | None = None,
    billing: Billing | None = None,
    *,
    priced_only: bool = False,
) -> list[dict[str, Any]]:
    """Charges of the billing months from ``start`` to ``end``, both first days of months, by time.

    Raises LedgerError where a charge has no price, unless ``priced_only`` leaves these out.
    """
    bounds = [] if start is None else [charge.c.month >= utc(start)]
    bounds += [] if end is None else [charge.c.month < utc(end)]
    query = select(charge).where(and_(True, *bounds)).order_by(charge.c.start_at, charge.c.source_id, charge.c.end_at)
    with ledger.reading() as connection:
        charges = [dict(row) for row in connection.execute(query).mappings()]
    unpriced = [one for one in charges if one["micro_usd"] is None]
    if unpriced and not priced_only:
        devices = ", ".join(sorted({one["item"] for one in unpriced}))
        hint = "add the price with stillroom ledger price, or leave these charges out with --priced-only"
        raise LedgerError("FOCUS export", f"has {len(unpriced)} charges without a price", got=devices, hint=hint)
    who = billing or Billing()
    return [_row(one, who) for one in charges if one["micro_usd"] is not None]


def _row(one: Mapping[str, Any], who: Billing) -> dict[str, Any]:
    compute, correction = one["kind"] == "compute", one["kind"] == "adjustment"
    category, service = SERVICES[one["category"]]
    cost = Decimal(one["micro_usd"]) / 1_000_000
    month_start, month_end = period_bounds("month", one["month"])
    provider = one["provider"] or who.issuer
    quantity, unit_price, unit = _priced(one, cost)
    return {
        "BilledCost": cost,
        "BillingAccountId": who.account_id,
        "BillingAccountName": who.account_name,
        "BillingCurrency": "USD",
        "BillingPeriodStart": _time(month_start),
        "BillingPeriodEnd": _time(month_end),
        "ChargeCategory": "Usage" if compute else "Adjustment" if correction else "Purchase",
        "ChargeClass": "Correction" if correction else None,
        "ChargeDescription": _description(one),
        "ChargeFrequency": "Usage-Based" if compute else "One-Time",
        "ChargePeriodStart": _time(one["start_at"]),
        "ChargePeriodEnd": _time(one["end_at"]),
        "ConsumedQuantity": quantity if compute else None,
        "ConsumedUnit": "Hours" if compute else None,
        "ContractedCost": cost,
        "ContractedUnitPrice": unit_price,
        "EffectiveCost": cost,
        "HostProviderName": who.host if compute else NO_HOST,
        "InvoiceIssuerName": who.issuer,
        "ListCost": cost,
        "ListUnitPrice": unit_price,
        "PricingCategory": "Standard" if not correction else None,
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "ProviderName": provider,
        "PublisherName": provider,
        "ResourceId": one["source_id"] if compute else None,
        "ResourceType": one["item"] if compute else None,
        "ServiceCategory": category,
        "ServiceName": service,
        "ServiceProviderName": provider,
        "SkuId": None if correction else one["item"],
        "SkuPriceId": None if correction else f"{one['item']} at {unit_price}",
        "x_Vertical": one["vertical"] or None,
        "x_Team": one["team"] or None,
        "x_BuildId": one["build_id"],
        "x_Scale": one["scale"] or None,
        "x_Stage": one["stage"] or None,
        "x_ArtifactFingerprint": one["artifact_fingerprint"] or None,
        "x_Attempt": one["attempt"],
        "x_Status": one["status"],
        "x_Evidence": one["evidence"] or None,
        "x_ChargeId": f"{one['kind']}:{one['source_id']}:{_time(one['start_at'])}",
    }


def _priced(one: Mapping[str, Any], cost: Decimal) -> tuple[Decimal | None, Decimal | None, str | None]:
    """Quantity, unit price and unit; an adjustment has none, an expense's unit price is its cost over its quantity."""
    if one["kind"] == "compute":
        held = Decimal(one["share_microseconds"]) / (Decimal(3_600_000_000) * one["share_denominator"])
        return held.quantize(QUANTITY_PLACES), Decimal(one["unit_micro_usd"]) / 1_000_000, "Hours"
    if one["kind"] == "expense" and one["quantity"]:
        quantity = Decimal(str(one["quantity"])).quantize(QUANTITY_PLACES)
        return quantity, (cost / quantity).quantize(QUANTITY_PLACES), one["unit"]
    return (Decimal(1), cost, "Units") if one["kind"] == "expense" else (None, None, None)


def _description(one: Mapping[str, Any]) -> str:
    if one["kind"] == "compute":
        return f"{one['vertical']} {one['stage']}, attempt {one['attempt']}, on {one['item']}: {one['status']}"
    return str(one["description"] or one["evidence"])


def _time(moment: datetime) -> str:
    """ISO 8601 in UTC with a Z, as FOCUS asks; fractions only where there are any."""
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text}Z"
