"""Usage adds up."""

from __future__ import annotations

from contracts.usage import Usage


def test_sum() -> None:
    one = Usage(wall_seconds=1, device_seconds=2, tokens_in=3, peak_memory_bytes=10)
    two = Usage(wall_seconds=4, device="H100", device_seconds=5, tokens_out=6, peak_memory_bytes=7, energy_joules=8)
    both = one + two
    assert (both.wall_seconds, both.device_seconds, both.tokens_in, both.tokens_out) == (5, 7, 3, 6)
    assert (both.device, both.peak_memory_bytes, both.energy_joules) == ("mixed", 10, 8)
    assert (one + one).device == "cpu"
    assert (one + one).energy_joules is None
