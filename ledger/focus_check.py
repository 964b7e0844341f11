"""Is a file FOCUS 1.3? Our own check of the rules that bear on a ledger like this one; it reads CSV, JSON and Parquet.

Source of the rules: the columns' pages of the FOCUS specification 1.3 (focus.finops.org), which are CC-BY-4.0. Columns
for commitments, capacity, regions and invoices of others are not checked: this ledger never writes them.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from contracts.errors import LedgerError

COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
TIMES = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
NEVER_NULL = (
    *COSTS, *TIMES, "BillingAccountId", "BillingCurrency", "ChargeCategory", "InvoiceIssuerName", "ProviderName",
    "PublisherName", "ServiceCategory", "ServiceName", "ServiceProviderName", "HostProviderName",
)  # fmt: skip
MANDATORY = (*NEVER_NULL, "BillingAccountName", "ChargeClass", "ChargeDescription", "PricingQuantity", "PricingUnit")
NUMBERS = (*COSTS, "PricingQuantity", "ConsumedQuantity", "ListUnitPrice", "ContractedUnitPrice")
OTHER_COLUMNS = (
    "ChargeFrequency", "ConsumedQuantity", "ConsumedUnit", "ContractedUnitPrice", "ListUnitPrice", "PricingCategory",
    "ResourceId", "ResourceName", "ResourceType", "SkuId", "SkuPriceId", "SubAccountId", "SubAccountName", "Tags",
    "RegionId", "RegionName", "ServiceSubcategory", "InvoiceId", "BillingAccountType", "AvailabilityZone",
)  # fmt: skip
ALLOWED = {
    "ChargeCategory": ("Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    "ChargeClass": ("Correction",),
    "ChargeFrequency": ("One-Time", "Recurring", "Usage-Based"),
    "PricingCategory": ("Standard", "Dynamic", "Committed", "Other"),
    "ServiceCategory": (
        "AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools",
        "Multicloud", "Identity", "Integration", "Internet of Things", "Management and Governance", "Media",
        "Migration", "Mobile", "Networking", "Security", "Storage", "Web", "Other",
    ),
}  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
TOLERANCE = Decimal("0.000002")
"""Of a cost against unit price times quantity: costs are rounded to a micro-USD."""
Cells = Mapping[str, Any]


def check_file(path: Path) -> list[str]:
    """Every breach found, as ``row 3: ChargeClass: ...``; empty: the file conforms. Raises LedgerError, unreadable."""
    try:
        rows = _read(path)
    except (OSError, ValueError) as error:
        raise LedgerError(
            str(path), "cannot be read", got=str(error).splitlines()[0], hint="csv, json or parquet"
        ) from error
    return check_rows(rows)


def check_rows(rows: Sequence[Cells]) -> list[str]:
    """The same for rows in memory."""
    if not rows:
        return ["the file holds no row"]
    return [*_columns(rows[0]), *(f"row {n}: {told}" for n, row in enumerate(rows, 1) for told in _row(row))]


def _columns(first: Cells) -> Iterator[str]:
    for name in MANDATORY:
        if name not in first:
            yield f"{name}: is mandatory and not there"
    for name in first:
        if name not in MANDATORY + OTHER_COLUMNS and not name.startswith("x_"):
            yield f"{name}: is no FOCUS column; a column of one's own begins with x_"


def _row(row: Cells) -> Iterator[str]:
    for name in NEVER_NULL:
        if name in row and row[name] is None:
            yield f"{name}: must not be null"
    for name, allowed in ALLOWED.items():
        if row.get(name) is not None and row[name] not in allowed:
            yield f"{name}: must be one of {', '.join(allowed)}, got {row[name]}"
    for name in NUMBERS:
        if row.get(name) is not None and _number(row[name]) is None:
            yield f"{name}: must be a number, got {row[name]}"
    for name in TIMES:
        if row.get(name) is not None and not TIME.fullmatch(str(row[name])):
            yield f"{name}: must be a UTC time such as 2026-03-01T00:00:00Z, got {row[name]}"
    if row.get("BillingCurrency") is not None and not re.fullmatch("[A-Z]{3}", str(row["BillingCurrency"])):
        yield f"BillingCurrency: must be an ISO 4217 code, got {row['BillingCurrency']}"
    yield from _periods(row)
    yield from _quantities(row)
    yield from _products(row)


def _periods(row: Cells) -> Iterator[str]:
    if not all(TIME.fullmatch(str(row.get(name) or "")) for name in TIMES):
        return
    bill_start, bill_end, start, end = (datetime.fromisoformat(str(row[name])) for name in TIMES)
    if bill_end <= bill_start:
        yield "BillingPeriodEnd: must be after BillingPeriodStart"
    if end < start:
        yield "ChargePeriodEnd: must not be before ChargePeriodStart"
    if row.get("ChargeCategory") == "Usage" and not (bill_start <= start and end <= bill_end):
        yield "ChargePeriodStart: usage must lie within its billing period"


def _quantities(row: Cells) -> Iterator[str]:
    category, correction = row.get("ChargeCategory"), row.get("ChargeClass") == "Correction"
    has_sku = row.get("SkuPriceId") is not None
    for quantity, unit in (("PricingQuantity", "PricingUnit"), ("ConsumedQuantity", "ConsumedUnit")):
        if (row.get(quantity) is None) != (row.get(unit) is None):
            yield f"{unit}: must be there exactly where {quantity} is"
        if row.get(quantity) is not None and not has_sku:
            yield f"{quantity}: must be null where SkuPriceId is"
    if category in ("Usage", "Purchase") and not correction and row.get("PricingQuantity") is None:
        yield f"PricingQuantity: must not be null for {category}"
    if category == "Usage" and not correction and row.get("ConsumedQuantity") is None:
        yield "ConsumedQuantity: must not be null for Usage"
    if category != "Usage" and row.get("ConsumedQuantity") is not None:
        yield f"ConsumedQuantity: must be null for {category}"


def _products(row: Cells) -> Iterator[str]:
    """A cost is its unit price times PricingQuantity, to the rounding of a micro-USD."""
    for cost, price in (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice")):
        told, unit, quantity = (_number(row.get(name)) for name in (cost, price, "PricingQuantity"))
        if told is not None and unit is not None and quantity is not None and abs(told - unit * quantity) > TOLERANCE:
            yield f"{cost}: must be {price} x PricingQuantity, {unit * quantity:f}, got {told:f}"


def _number(cell: Any) -> Decimal | None:
    try:
        number = Decimal(str(cell))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _read(path: Path) -> list[dict[str, Any]]:
    kind = path.suffix.lower()
    if kind == ".parquet":
        import pyarrow.parquet as pq

        return list(pq.read_table(path).to_pylist())
    text = path.read_text(encoding="utf-8")
    if kind == ".json":
        return list(json.loads(text))
    rows = csv.DictReader(text.splitlines())
    return [{name: cell if cell != "" else None for name, cell in row.items()} for row in rows]
