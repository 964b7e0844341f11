"""A drop in the inbox of a running platform: the watcher's event starts curate/inbox, once."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import Platform
from tests.flows.test_inbox import TOLD, letter

pytestmark = pytest.mark.e2e
PATIENCE_SECONDS = 600


def record(platform: Platform) -> dict[str, Any]:
    path = platform.home / "inbox" / "finance.json"
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def test_a_complete_drop_is_curated_by_its_event(platform: Platform) -> None:
    said = platform.stillroom("up")
    assert said.returncode == 0, said.stderr
    assert "watcher" in json.loads((platform.home / "pids.json").read_text()), "an earlier test may have started it"
    folder = platform.home / "drops" / "finance" / "letters"
    folder.mkdir(parents=True)
    (folder / "corpus.yaml").write_text(yaml.safe_dump(TOLD))
    rows = [{"id": f"l{n}", "text": letter(n)} for n in range(24)]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / ".complete").touch()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "card" not in record(platform) and time.monotonic() < deadline:
        time.sleep(1)
    card = Path(record(platform)["card"])
    assert card.is_file()
    told = json.loads(card.with_name("card.json").read_text())
    assert {one["source"]: one["read"] for one in told["sources"]}["letters"] == 24

    again = platform.stillroom("curate", str(folder.parent), "--scale", "local")
    assert "nothing has changed since the last curation" in again.stderr
    assert again.stdout.strip() == str(card)
    assert "lies in      dataset/data/pretraining-" in platform.stillroom("curate", "show", "letters/l3").stdout
    removed = platform.stillroom("curate", "remove", "letters/l3", "--why", "the writer asked").stdout
    assert "cheapest rebuild: stillroom curate finance --scale local" in removed
