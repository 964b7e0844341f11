"""Errors: the house's form, and across processes."""

from __future__ import annotations

import pickle

import pytest

from contracts.errors import KINDS, RecipeError, StillroomError


def test_form() -> None:
    error = StillroomError("recipe: sft.learning_rate", "must be > 0", got=-0.1, hint="1e-4 is usual")
    assert str(error) == "recipe: sft.learning_rate: must be > 0, got -0.1\n\nhint: 1e-4 is usual"


def test_all_faults_are_shown() -> None:
    faults = [RecipeError("a", "is wrong"), RecipeError("b", "is wrong too", hint="mend b")]
    assert str(RecipeError("recipe", "2 faults", faults=faults)) == "a: is wrong\n\nb: is wrong too\n\nhint: mend b"


@pytest.mark.parametrize("kind", KINDS.values())
def test_survives_a_process_border(kind: type[StillroomError]) -> None:
    back = pickle.loads(pickle.dumps(kind("s", "f", got=1, hint="h")))
    assert (type(back), str(back)) == (kind, "s: f, got 1\n\nhint: h")
    assert kind.exit_code > 0


def test_every_fault_survives_a_process_border() -> None:
    faults = [RecipeError("a", "is wrong"), RecipeError("b", "is wrong too", hint="mend b")]
    back = pickle.loads(pickle.dumps(RecipeError("recipe", "2 faults", faults=faults)))
    assert "a: is wrong" in str(back) and "b: is wrong too\n\nhint: mend b" in str(back)
