"""Which devices, or which part of one, a process holds, by what the driver lists."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ledger.devices import Held, held

H100 = "NVIDIA H100 80GB HBM3"
SLICED = f"""GPU 0: {H100} (UUID: GPU-1)
  MIG 1g.10gb     Device  0: (UUID: MIG-a)
  MIG 1g.20gb     Device  1: (UUID: MIG-b)
  MIG 3g.40gb     Device  2: (UUID: MIG-c)
  MIG 1g.10gb+me  Device  3: (UUID: MIG-d)
  MIG 7g.80gb     Device  4: (UUID: MIG-e)
GPU 1: {H100} (UUID: GPU-2)""".splitlines()
FOUR = [f"GPU {number}: {H100} (UUID: GPU-{number}a-{number}b)" for number in range(4)]


@pytest.mark.parametrize(
    ("instance", "share"),
    [("a", Fraction(1, 7)), ("b", Fraction(1, 4)), ("c", Fraction(1, 2)), ("d", Fraction(1, 7)), ("e", Fraction(1))],
)
def test_of_an_instance_the_larger_of_compute_and_memory_counts(instance: str, share: Fraction) -> None:
    assert held(SLICED, f"MIG-{instance}", [79.6, 79.6]) == Held(H100, 1, share)


def test_larger_devices_round_to_the_same_slices() -> None:
    for profile, share in (("1g.18gb", Fraction(1, 7)), ("1g.35gb", Fraction(1, 4)), ("4g.71gb", Fraction(4, 7))):
        listed = ["GPU 0: NVIDIA H200 (UUID: GPU-1)", f"MIG {profile}  Device 0: (UUID: MIG-x)"]
        assert held(listed, "MIG-x", [140.4]) == Held("NVIDIA H200", 1, share)


def test_a_process_uses_one_instance_and_the_first_where_none_is_named() -> None:
    for visible in (None, "0", "0,1", "MIG-a,MIG-b"):
        assert held(SLICED, visible, [79.6, 79.6]) == Held(H100, 1, Fraction(1, 7))
    assert held(SLICED, "1", [79.6, 79.6]) == Held(H100, 1, uuids=("GPU-2",))


def test_an_instance_that_is_not_listed_is_booked_as_a_whole_device() -> None:
    assert held(SLICED, "MIG-z", [79.6, 79.6]) == held(SLICED, "MIG-a", []) == Held(H100)


@pytest.mark.parametrize(
    ("visible", "numbers"),
    [
        (None, "0123"), ("0", "0"), ("2,0", "20"), (" 1 , 3 ", "13"), ("GPU-2a,GPU-3a-3b", "23"),
        ("0,7,1", "0"), ("1,-1,2", "1"),
    ],
)  # fmt: skip
def test_only_the_devices_that_are_seen_are_held(visible: str | None, numbers: str) -> None:
    uuids = tuple(f"GPU-{number}a-{number}b" for number in numbers)
    assert held(FOUR, visible) == Held(H100, len(numbers), uuids=uuids)


def test_where_no_device_is_seen_a_cpu_is_held() -> None:
    for visible in ("", " ", "-1", "9", "NoDevFiles"):
        assert held(FOUR, visible) == Held("cpu")
    assert held([], None) == held([], "MIG-a") == Held("cpu", 1, Fraction(1), ())
