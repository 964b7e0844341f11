"""Artifacts: record last, published whole or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from contracts.artifacts import Artifact, broken_files, describe, load, publish
from contracts.errors import InputError, PublishError


def _draft(folder: Path, text: str = "one") -> Artifact:
    (folder / ".checkpoints").mkdir(parents=True)
    (folder / ".checkpoints" / "half").write_text("scratch")
    (folder / "data").mkdir()
    (folder / "data" / "a.txt").write_text(text)
    return describe(folder, "corpus", {"n": 1}).model_copy(update={"fingerprint": "f1"})


def test_published_artifact_is_read_back_whole_and_without_scratch(tmp_path: Path) -> None:
    made = publish(_draft(tmp_path / "out"), tmp_path / "store" / "f1")
    read = load(made.path)
    assert read == made
    assert broken_files(made) == []
    assert not (made.path / ".checkpoints").exists()
    assert made.file("data/a.txt").read_text() == "one"


def test_folder_without_record_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "f1").mkdir()
    (tmp_path / "f1" / "a.txt").write_text("half")
    assert load(tmp_path / "f1") is None


@pytest.mark.parametrize("record", ["", "{", "[]", '{"kind": 3, "surprise": 1}', "\x00"])
def test_broken_record_is_no_artifact(tmp_path: Path, record: str) -> None:
    (tmp_path / "artifact.json").write_text(record)
    assert load(tmp_path) is None


def test_changed_file_is_found(tmp_path: Path) -> None:
    made = publish(_draft(tmp_path / "out"), tmp_path / "store" / "f1")
    (made.path / "data" / "a.txt").write_text("two")
    assert broken_files(made) == ["data/a.txt"]


def test_unknown_file_is_an_error_that_names_the_known_ones(tmp_path: Path) -> None:
    made = publish(_draft(tmp_path / "out"), tmp_path / "store" / "f1")
    with pytest.raises(InputError, match=r"data/a\.txt"):
        made.file("b.txt")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_full_disk_leaves_no_half_artifact_and_says_what_to_do(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("cannot mount here")
    try:
        draft = _draft(small / "out")
        shutil.rmtree(small / "out" / ".checkpoints")  # scratch is dropped first and would make room
        with pytest.raises(OSError), (small / "filler").open("wb", buffering=0) as filler:
            while filler.write(b"x" * 512):
                pass
        with pytest.raises(PublishError, match="free disk space"):
            publish(draft, small / "store" / "f1")
        assert load(small / "store" / "f1") is None
        assert not list((small / "store").glob("*")) if (small / "store").exists() else True
    finally:
        subprocess.run(["umount", str(small)], check=True)
