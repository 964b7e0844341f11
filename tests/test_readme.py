"""The README tells the truth: its tree is the disk, its commands the command line, its targets the Makefile."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import typer

from flows.cli import app
from flows.settings import Settings

CHECKOUT = Path(__file__).parent.parent
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


def fenced(text: str) -> list[str]:
    return re.findall(r"```(?:sh)?\n(.*?)```", text, flags=re.DOTALL)


def top_level() -> set[str]:
    """Names at the top of the checkout that belong to it: the tracked ones, or in an image all that are there."""
    if (CHECKOUT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        names = {name.split("/")[0] for name in listed.split("\0") if name}
    else:
        names = {path.name for path in CHECKOUT.iterdir()}
    return {name for name in names if not name.startswith((".", "__"))}


def test_tree_is_the_disk() -> None:
    tree = next(block for block in fenced(README) if block.startswith("contracts/"))
    told = {line.split()[0] for line in tree.splitlines()}
    assert {name.rstrip("/") for name in told} == top_level()
    assert all((CHECKOUT / name).is_dir() == name.endswith("/") for name in told)
    assert all(len(line.split()) > 2 for line in tree.splitlines()), "a line a room says what it is for"


def documented() -> list[list[str]]:
    """Every ``stillroom VERB ...`` of the README, as words."""
    lines = [line for block in fenced(README) for line in block.splitlines()]
    lines += re.findall(r"`(stillroom [^`]+)`", README)
    return [shlex.split(line, comments=True) for line in lines if line.startswith("stillroom ")]


def test_commands_are_the_command_lines() -> None:
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    used = documented()
    assert {words[1] for words in used} == set(verbs), "documented and existing commands differ"
    for words in used:
        command = verbs[words[1]]
        if hasattr(command, "commands"):
            command = command.commands[words[2] if words[2:3] and words[2] in command.commands else "run"]
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words[2:] if word.startswith("--")} <= options, words


def test_make_targets_exist() -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, flags=re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md"):
        text = (CHECKOUT / page).read_text(encoding="utf-8")
        used = set(re.findall(r"^make ([a-z0-9-]+)", text, flags=re.MULTILINE)) | set(
            re.findall(r"`make ([a-z0-9-]+)", text)
        )
        assert used <= targets, page
        assert used, page


def test_settings_exist() -> None:
    told = set(re.findall(r"`STILLROOM_([A-Z0-9_]+)`", README))
    assert {name.lower() for name in told} <= set(Settings.model_fields)


def test_links_lead_somewhere() -> None:
    for page in (CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted((CHECKOUT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
