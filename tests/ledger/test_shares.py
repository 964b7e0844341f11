"""Which part of a device a MIG instance takes, from what the driver lists."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ledger.shares import mig_share

LISTED = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)
  MIG 1g.10gb     Device  0: (UUID: MIG-a)
  MIG 1g.20gb     Device  1: (UUID: MIG-b)
  MIG 3g.40gb     Device  2: (UUID: MIG-c)
  MIG 1g.10gb+me  Device  3: (UUID: MIG-d)
  MIG 7g.80gb     Device  4: (UUID: MIG-e)""".splitlines()


@pytest.mark.parametrize(
    ("instance", "share"),
    [("a", Fraction(1, 7)), ("b", Fraction(1, 4)), ("c", Fraction(1, 2)), ("d", Fraction(1, 7)), ("e", Fraction(1))],
)
def test_the_larger_of_compute_and_memory_counts(instance: str, share: Fraction) -> None:
    assert mig_share(LISTED, f"MIG-{instance}", 79.6) == share


def test_larger_devices_round_to_the_same_slices() -> None:
    for profile, share in (("1g.18gb", Fraction(1, 7)), ("1g.35gb", Fraction(1, 4)), ("4g.71gb", Fraction(4, 7))):
        assert mig_share([f"  MIG {profile}  Device 0: (UUID: MIG-x)"], "MIG-x", 140.4) == share


def test_what_is_not_listed_is_a_whole_device() -> None:
    assert mig_share(LISTED, "MIG-z", 80) == mig_share([], "MIG-a", 80) == 1
