"""The ledger as every command opens it: with the catalogue's prices in it."""

from __future__ import annotations

from datetime import datetime

from flows.settings import Settings
from ledger import Ledger
from recipes.catalogue import AS_OF, device_row, devices

CATALOGUE, OWN_PRICE = "recipes/devices.yaml", "STILLROOM_USD_PER_DEVICE_HOUR"
"""Sources of prices that are told anew at every start; what people book by command stands over them."""


def open_ledger(settings: Settings) -> Ledger:
    """The ledger with the catalogue's prices, or the user's own for the device in use."""
    settings.home.mkdir(parents=True, exist_ok=True)
    ledger = Ledger.open(settings.ledger, spool=settings.home / "spool")
    since = datetime.fromisoformat(AS_OF)
    prices = {
        name: [(since, row.usd_per_hour[1], f"{CATALOGUE}, specialist cloud on demand")]
        for name, row in devices().items()
        if row.usd_per_hour is not None
    }
    price, source = device_price(settings)
    if price is not None:
        prices[settings.device] = [(since, price, source)]
    ledger.load_prices(prices, replaces=(CATALOGUE, OWN_PRICE))
    return ledger


def device_price(settings: Settings) -> tuple[float | None, str]:
    """USD per hour of the device in use and where the figure is from; None where nobody says."""
    if settings.usd_per_device_hour is not None:
        return settings.usd_per_device_hour, OWN_PRICE
    known = device_row(settings.device)
    if known is None or known[1].usd_per_hour is None:
        return None, "no price known"
    return known[1].usd_per_hour[1], f"{CATALOGUE}: {known[0]}"
