"""The command line as a user meets it: help that teaches, errors of the house's form, never a stack trace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flows.settings import CHECKOUT


def _stillroom(tmp_path: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    own = {"STILLROOM_HOME": str(tmp_path / "home"), "COLUMNS": "120"} | env
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.run(
        command, cwd=CHECKOUT, env=os.environ | own, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["plan", "finanse"], 2, "vertical: has no recipe, got 'finanse'"),
        (["plan", "finance", "--scale", "huge"], 2, "scale: is not known, got 'huge'"),
        (["plan", "finance", "--set", "sft.lora.rnk=8"], 2, "sft.lora.rnk: no such key\n\nhint: did you mean rank?"),
        (["plan", "finance", "--set", "sft.optimiser.learning_rate=-1"], 2, "learning_rate: must be > 0, got -1"),
        (["plan", "finance", "--set", "nonsense"], 2, "--set: must be section.key=value, got 'nonsense'"),
        (["plan", "finance", "--corpus", "no/such/folder"], 2, "--corpus: is not there, got no/such/folder"),
        (["plan", "finance", "--scale", "production", "--set", "budget.usd=1"], 6, "is over the budget of 1 USD"),
        (["plan", "finance", "--set", "sft.max_tokens=[1"], 2, "--set: has a value that is no YAML"),
        (["plan", "finance", "--set", "sft..rank=8"], 2, "--set: must be section.key=value"),
        (
            ["plan", "finance", "--set", "sft.max_tokens=many"],
            2,
            "sft.max_tokens: must be a valid integer, unable to parse string as an integer, got many",
        ),
        (["validate", "finanse"], 2, "vertical: has no recipe, got 'finanse'"),
        (["why", "finance", "sfft"], 2, "stage: is not in this chain, got 'sfft'\n\nhint: did you mean sft?"),
        (
            ["run", "finance", "--from", "distl"],
            2,
            "--from: is not in this chain, got 'distl'\n\nhint: did you mean distil?",
        ),
        (["run", "finance", "--only", "servng"], 2, "--only: is not in this chain, got 'servng'"),
        (["run", "finance", "--corpus", "no/such"], 2, "--corpus: is not there, got no/such"),
        (["demo", "finanse"], 2, "vertical: has no recipe, got 'finanse'"),
        (["demo", "finance", "--scale", "huge"], 2, "scale: is not known, got 'huge'"),
        (["report", "/etc"], 2, "report: there is none, got /etc"),
        (["cost", "finance"], 2, "finance"),
        (["curate", "finance", "--engine", "spark"], 2, "curation.engine: "),
        (["curate", "finance", "--ray-address", "nowhere"], 2, "curation.ray_address: "),
        (["curate", "finance", "--engine", "threads", "--ray-address", "h:1"], 2, "does not go with --engine threads"),
        (["ledger"], 2, "ledger: holds no build yet"),
        (["report"], 2, "report: there is none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_ends_in_an_error_of_the_house(tmp_path: Path, arguments: list[str], code: int, told: str) -> None:
    said = _stillroom(tmp_path, *arguments)
    assert told in said.stderr
    assert "hint: " in said.stderr
    assert "Traceback" not in said.stderr
    assert said.returncode == code


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("PREFECT_PORT", "abc", "STILLROOM_PREFECT_PORT: must be a valid integer, got 'abc'"),
        ("PREFECT_PORT", "70000", "STILLROOM_PREFECT_PORT: must be less than or equal to 65535, got '70000'"),
        ("CORPUS", "no/such/folder", "STILLROOM_CORPUS: is not there, got "),
        ("HOME", f"{__file__}/home", "home: could not be written or read, got Not a directory"),
        ("LEDGER_URL", "nonsense", "nonsense: is not a database URL"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, setting: str, value: str, told: str) -> None:
    arguments = ["plan", "finance"] if setting == "CORPUS" else ["ledger"]
    said = _stillroom(tmp_path, *arguments, **{f"STILLROOM_{setting}": value})
    assert told in said.stderr
    assert "hint: " in said.stderr and "Traceback" not in said.stderr
    assert said.returncode in (2, 5, 6)


def test_a_port_in_use_is_named_before_anything_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = _stillroom(tmp_path, "up", STILLROOM_PREFECT_PORT=port)
    assert f"port {port}: is in use and is no Prefect server of ours" in said.stderr
    assert said.returncode == 7
    assert "Traceback" not in said.stderr


class Healthy(BaseHTTPRequestHandler):
    """Answers like a Prefect server that is well."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_prefect_server_of_another_home_is_not_taken_for_ours(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = str(server.server_address[1])
        said = _stillroom(tmp_path, "up", STILLROOM_PREFECT_PORT=port)
        server.shutdown()
    assert f"port {port}: is a Prefect server that was not started for {tmp_path / 'home'}" in said.stderr
    assert said.returncode == 7 and "hint: " in said.stderr


def test_help_names_every_verb(tmp_path: Path) -> None:
    said = _stillroom(tmp_path, "--help").stdout
    for verb in ("validate", "plan", "run", "demo", "curate", "why", "up", "down", "ledger", "report"):
        assert verb in said


def test_plan_walks_the_whole_chain_without_running_anything(tmp_path: Path) -> None:
    said = _stillroom(tmp_path, "plan", "finance", "--scale", "production", COLUMNS="200")
    assert said.returncode == 0, said.stderr
    for stage in ("curate", "cpt", "sft", "dpo", "capture", "student:student-7b", "serve:teacher"):
        assert stage in said.stdout
    assert not (tmp_path / "home" / "store").exists()


def test_validate_and_import_are_light() -> None:
    code = "import sys, flows.cli, flows.plan; print([m for m in ('torch', 'trl', 'prefect') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_validate_reads_recipes_and_no_library_of_the_stages() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from flows.cli import app; "
        "done = CliRunner().invoke(app, ['validate']); print(done.exit_code, "
        "[m for m in ('numpy', 'pyarrow', 'numba', 'sqlalchemy') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "0 []"


def test_the_ledger_reads_no_recipe(tmp_path: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from flows.cli import app; "
        "CliRunner().invoke(app, ['ledger', 'spend']); "
        "print('ledger.spend' in sys.modules, "
        "[m for m in ('recipes.schema', 'flows.build', 'alembic', 'numpy', 'pyarrow') if m in sys.modules])"
    )
    own = os.environ | {"STILLROOM_HOME": str(tmp_path)}
    for seen in (["alembic"], []):  # a new ledger's tables are made once
        said = subprocess.run(
            [sys.executable, "-c", code], cwd=CHECKOUT, env=own, capture_output=True, text=True, check=True
        )
        assert said.stdout.strip() == f"True {seen}"
