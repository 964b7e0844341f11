"""Fixtures of the distillation room."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="session")
def exact_arithmetic():
    """Figures are compared to many digits here, so the processor's bf16 units stay unused."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distillation.teacher.cpu_multiplies_bf16", lambda: False)
        yield
