"""SIGKILL during curation; ``benchmarks/curation_kills.py`` does the same fifty times and on hostile files."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.curation_kills import rounds

pytestmark = pytest.mark.e2e  # five processes of the stage


def test_the_run_after_a_kill_ends_with_the_same_bytes(tmp_path: Path) -> None:
    found = rounds(3, tmp_path, hostile=False, in_a_row=3)
    assert found.kills >= 3 and not found.different


def test_so_does_a_later_layer_of_an_inbox(tmp_path: Path) -> None:
    found = rounds(3, tmp_path, hostile=False, in_a_row=3, layered=True)
    assert found.kills >= 3 and not found.different
