"""Which layers a pruned student keeps."""

import pytest

from contracts.errors import FitError
from distillation import layer_plan


def test_both_ends_stay_and_the_middle_goes():
    assert layer_plan(30, 3, 7) == (0, 1, 2, 23, 24, 25, 26, 27, 28, 29)
    assert layer_plan(4, 4, 0) == layer_plan(4, 0, 4) == layer_plan(4, 1, 3) == (0, 1, 2, 3)


@pytest.mark.parametrize(("first", "last"), [(0, 0), (20, 11), (-1, 5)])
def test_impossible_plans_are_refused(first: int, last: int):
    with pytest.raises(FitError, match="student layers"):
        layer_plan(30, first, last)
