"""Golden ids against a server on loopback that gives one id a character."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.errors import GateError, InputError
from serving.engine import Engine
from serving.golden import first_difference, require_golden_ids
from serving.server import Server, ServerSettings


def test_equal_ids_pass_and_a_changed_one_is_named(
    model: Path, engine: Callable[[str], Engine], settings: ServerSettings
) -> None:
    with Server(model, engine(""), settings) as server:
        assert require_golden_ids(server, model) == 2
        stored = json.loads((model / "golden.json").read_text())
        stored["conversations"][1]["ids"][3] = 7
        (model / "golden.json").write_text(json.dumps(stored))
        with pytest.raises(GateError, match=r"conversation 1.*got id 99 at position 3, trained on 7"):
            require_golden_ids(server, model)
        (model / "golden.json").write_text("[]")
        with pytest.raises(InputError, match="cannot be read as golden ids"):
            require_golden_ids(server, model)
        (model / "golden.json").unlink()
        with pytest.raises(InputError, match=r"golden\.json"):
            require_golden_ids(server, model)


def test_a_doubled_first_token_is_a_difference() -> None:
    assert first_difference([1, 5, 6], [1, 1, 5, 6]) == "id 1 at position 1, trained on 5"
    assert first_difference([1, 5], [1, 5, 6]) == "3 ids, trained on 2"
