"""The list of architectures that recipes and selection read is the pinned engine's own."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from contracts.errors import ServeError
from recipes.catalogue import FOLDER, models, served_architectures
from serving.architectures import PYTHON, TABLES, listed, served_by

CHECKOUT = FOLDER.parent


def test_the_list_is_the_installed_engine_s() -> None:
    if not (CHECKOUT / PYTHON).is_file():
        pytest.skip("the engine's environment is not installed")
    version, names = served_by(CHECKOUT / PYTHON)
    kept = json.loads((FOLDER / "vllm_architectures.json").read_text(encoding="utf-8"))
    assert kept == {"vllm": version, "architectures": names}, "run python -m serving.architectures, see there"


@pytest.mark.parametrize("pins", ["requirements-vllm-cpu.in", "requirements-vllm-gpu.txt"])
def test_the_list_is_of_the_pinned_version(pins: str) -> None:
    pinned = re.search(r"^vllm(?:-cpu)?==(\S+)$", (CHECKOUT / "infra" / pins).read_text(), re.MULTILINE)
    assert pinned is not None
    assert served_architectures()[0] == pinned[1]


def test_every_catalogue_row_names_an_architecture_and_the_engine_serves_it() -> None:
    served = served_architectures()[1]
    assert {name: row.architecture for name, row in models().items() if row.architecture not in served} == {}


def test_tables_are_read_without_running_the_registry() -> None:
    tables = "\n".join(f'{name} = {{"{name}One": ("a", "b"), "Both": ("c", "d")}}' for name in TABLES)
    source = f'raise SystemExit("never run")\n_REWARD_MODELS = {{"Judge": ("e", "f")}}\n{tables}\n'
    assert listed(source) == sorted([*(f"{name}One" for name in TABLES), "Both"])


def test_a_registry_of_another_form_is_an_error_not_an_empty_list() -> None:
    with pytest.raises(ServeError, match="lacks tables of models, got _TEXT_GENERATION_MODELS"):
        listed(
            "_TEXT_GENERATION_MODELS = load()\n_MULTIMODAL_MODELS = {'A': 1}\n_TRANSFORMERS_SUPPORTED_MODELS = {'B': 1}"
        )


@pytest.mark.parametrize("python", [Path("no/such/python"), Path(sys.executable)], ids=["missing", "without vllm"])
def test_an_environment_without_the_engine_is_named(python: Path) -> None:
    with pytest.raises(ServeError, match="serving engine"):
        served_by(python)
