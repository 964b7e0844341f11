"""The register of promotions, on both databases."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from contracts.errors import LedgerError
from ledger import Ledger
from ledger.promotions import promote, promoted, promotions
from tests.ledger.conftest import Rows

DAY = timedelta(days=1)


def test_the_last_promotion_counts_and_all_stay(ledger: Ledger, noon: datetime) -> None:
    ledger.start_build("b2", "finance", "local", "recipe-2", at=noon)
    ledger.start_build("b3", "real_estate", "local", "recipe-3", at=noon)
    assert promoted(ledger, "finance", "production") is None
    assert promote(ledger, "b1", "production", by="ann", reason="review 12", at=noon)
    assert promote(ledger, "b2", "production", by="ben", reason="faster", model="student-7b", at=noon + DAY)
    assert promote(ledger, "b2", "staging", by="ben", reason="next", at=noon + DAY)
    assert promote(ledger, "b3", "production", by="ann", reason="first", at=noon + DAY)
    found = promoted(ledger, "finance", "production")
    assert found is not None
    assert (found.build_id, found.model, found.promoted_at) == ("b2", "student-7b", noon + DAY)
    assert found.told == "student-7b promoted to production by ben on 2026-03-02 12:00 UTC: faster"
    assert promote(ledger, "b1", "production", by="ann", reason="back: b2 invents figures", at=noon + 2 * DAY)
    assert [one.build_id for one in promotions(ledger, "finance") if one.name == "production"] == ["b1", "b2", "b1"]
    assert len(promotions(ledger)) == 5


def test_the_same_promotion_twice_is_one(ledger: Ledger, rows: Rows) -> None:
    words = {"by": "ann", "reason": "review 12"}
    assert promote(ledger, "b1", "production", **words)
    assert not promote(ledger, "b1", "production", **words | {"reason": "again"})
    assert promote(ledger, "b1", "production", **words, model="teacher")
    assert rows("SELECT model, reason FROM promotion ORDER BY id") == [("", "review 12"), ("teacher", "review 12")]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "Production!"}, "must have a name, got Production!"), ({"name": ""}, "must have a name, got none"),
        ({"by": " "}, "must say who promotes"), ({"reason": ""}, "must say why"),
        ({"build_id": "b9"}, "build b9: is not in the ledger"),
    ],
)  # fmt: skip
def test_a_promotion_without_name_person_reason_or_build_is_refused(
    ledger: Ledger, rows: Rows, change: dict[str, str], told: str
) -> None:
    with pytest.raises(LedgerError, match=told):
        promote(ledger, **({"build_id": "b1", "name": "production", "by": "ann", "reason": "review 12"} | change))
    assert rows("SELECT count(*) FROM promotion") == [(0,)]
