"""Daft on Ray against threads: real Ray, the same result document by document, nothing left behind."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import psutil
import pyarrow as pa
import pytest

from contracts.errors import InputError, RecipeError, StageError
from data_curation import ray_runner
from data_curation.curate import curate
from data_curation.kernel import Wanted, scan, texts_of
from data_curation.minhash import common_table
from data_curation.near_pairs import Facts
from data_curation.prints import BATCH_DOCUMENTS, boilerplate_of, cluster, prints_of
from data_curation.ray_runner import Ray, Sides
from recipes.load import load
from recipes.schema import Curation
from tests.data_curation.corpus_sample import corpus, lease, section

CHECKOUT = Path(__file__).parents[2]
PYTHON = CHECKOUT / ".venv-ray" / "bin" / "python"
CURATION = Curation(licences=())
SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "zu"]


def documents(count: int, seed: int = 4) -> tuple[pa.Array, Sides]:
    """Forms filled in, their exact and edited copies, chains of edits, short and empty texts; in any order."""
    chance = random.Random(seed)

    def words(number: int) -> list[str]:
        return ["".join(chance.choices(SYLLABLES, k=3)) for _ in range(number)]

    form, texts = words(60), ["", "***", "one", "one two", "One  two"]
    while len(texts) < count:
        body = [*form, *words(chance.randrange(5, 200))] if chance.random() < 0.5 else words(chance.randrange(30, 200))
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            texts.append(" ".join(body) + f" rent {chance.randrange(3)}")
            body = list(body)
            for place in chance.sample(range(len(body)), chance.choice((0, 0, 1, 3))):
                body[place] = words(1)[0]
    chance.shuffle(texts)
    entity = np.array([chance.choice((0, 1, 2)) for _ in texts], np.uint64)
    heldout = np.array([chance.random() < 0.3 for _ in texts], np.bool_)
    return texts_of(texts[:count]), Sides(entity[:count], heldout[:count])


def batches(texts: pa.Array) -> Iterator[pa.Array]:
    return (texts.slice(start, BATCH_DOCUMENTS) for start in range(0, len(texts), BATCH_DOCUMENTS))


def by_threads(texts: pa.Array, what: Wanted, sides: Sides | None) -> list[np.ndarray]:
    with tempfile.TemporaryFile() as file:
        prints = prints_of(batches(texts), what, cast(BinaryIO, file), 2)
        facts = Facts(sides.entity, prints.figures, sides.heldout) if sides else None
        return [prints.words, *cluster(prints, CURATION.near_duplicate_jaccard, facts)]


def by_ray(ray: Ray, texts: pa.Array, what: Wanted, sides: Sides | None, batch: int, part: int) -> list[np.ndarray]:
    words, found = ray.cluster(batches(texts), what, CURATION.near_duplicate_jaccard, sides, batch, part)
    return [words, *found]


def agree(ray: Ray, texts: pa.Array, sides: Sides | None, common: np.ndarray, batch: int, part: int) -> int:
    """Compare both runners; returns how many pairs were joined."""
    what = Wanted(common=common, figures=sides is not None)
    ours, theirs = by_threads(texts, what, sides), by_ray(ray, texts, what, sides, batch, part)
    for name, one, other in zip(("words", "firsts", "edges", "likeness"), ours, theirs, strict=True):
        assert one.shape == other.shape and (one == other).all(), name
    return len(ours[2])


def of_ray() -> set[int]:
    """Ray's processes on this machine."""
    found = set()
    for process in psutil.process_iter(["name", "cmdline"]):
        told = [process.info["name"] or "", *(process.info["cmdline"] or [])[:1]]
        if any(name in one for one in told for name in ("raylet", "gcs_server", "ray::")):
            found.add(process.pid)
    return found


def needs_ray() -> None:
    if not PYTHON.exists():
        pytest.skip("no Ray environment: infra/install.sh ray")


@pytest.mark.e2e
def test_ray_gives_what_threads_give_for_every_batch_and_worker_count(tmp_path: Path) -> None:
    needs_ray()
    before = of_ray()
    texts, sides = documents(1_500)
    common = boilerplate_of(texts, CURATION)
    nothing = common_table(np.zeros(0, np.uint32))
    assert common.size, "the form is boilerplate"
    with Ray(PYTHON, "", tmp_path / "a", workers=2) as ray:
        joined = [
            agree(ray, texts, sides, common, 1_024, 4_096),
            agree(ray, texts, None, common, 64, 50),
            agree(ray, texts.slice(0, 700), None, nothing, 7, 1),
            agree(ray, texts_of(["", "***", "only this text has words"]), None, nothing, 1_024, 4_096),
        ]
        assert joined[1] > joined[0] > 200 and joined[2] > 50 and joined[3] == 0, "facts tell some apart"
        assert any(texts.slice(0, 700).to_pylist().count(one) > 1 for one in texts.slice(0, 700).to_pylist())
        assert of_ray() > before
    assert of_ray() <= before and not (tmp_path / "a").exists()
    with Ray(PYTHON, "", tmp_path / "b", workers=1) as ray:
        assert agree(ray, texts, sides, common, 300, 200) == joined[0]
    assert of_ray() <= before


@pytest.mark.e2e
def test_a_cluster_of_two_nodes_by_its_address_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_ray()
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # nodes and driver bind to 127.0.0.1
    texts, sides = documents(1_200, seed=9)
    with subprocess.Popen(
        [PYTHON, "-P", Path(__file__).with_name("ray_nodes.py")], cwd=tmp_path, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    ) as nodes:  # fmt: skip
        assert nodes.stdin is not None and nodes.stdout is not None
        address = nodes.stdout.readline().strip()
        try:
            with Ray(PYTHON, address, tmp_path / "a") as ray:
                assert agree(ray, texts, sides, boilerplate_of(texts, CURATION), 256, 300) > 100
        finally:
            nodes.stdin.close()


@pytest.mark.e2e
def test_the_stage_makes_the_same_corpus_by_either_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_ray()
    monkeypatch.setattr(ray_runner, "LEAST_DOCUMENTS", 5)
    leases = [lease(number) for number in range(40)]
    copies = [row | {"id": f"copy-{row['id']}", "text": row["text"] + " End."} for row in leases[::3]]
    made = {}
    for engine in ("threads", "ray"):
        asked = section(corpus(tmp_path / "corpus", [*leases, *copies]), engine=engine)
        out_dir = tmp_path / engine
        out_dir.mkdir()
        artifact, _ = curate(asked.model_copy(update={"ray_python": PYTHON}), {}, out_dir)
        made[engine] = artifact.files, artifact.metrics
    assert made["ray"] == made["threads"]
    fallen = made["ray"][1]["rejected_by_reason"]
    assert sum(count for reason, count in fallen.items() if reason.startswith("near_duplicate")) > 5


KILLED = """
import sys; from pathlib import Path; import pyarrow as pa
from data_curation.kernel import Wanted; from data_curation.ray_runner import Ray
with Ray(Path(sys.argv[1]), "", Path(sys.argv[2]), workers=1) as ray:
    ray.cluster([pa.array(["one two three"])], Wanted(), 0.8, None)
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.e2e
def test_no_process_of_ray_outlives_a_stage_that_is_killed(tmp_path: Path) -> None:
    needs_ray()
    before = of_ray()
    stage = subprocess.Popen([sys.executable, "-c", KILLED, PYTHON, tmp_path / "a"], cwd=CHECKOUT,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert stage.stdout is not None and stage.stdout.readline() == "ready\n"
    family = [stage, *psutil.Process(stage.pid).children(recursive=True)]
    stage.kill()
    stage.communicate()
    _, alive = psutil.wait_procs(family[1:], timeout=120)  # its agents notice last
    assert not alive and of_ray() <= before


def test_without_the_environment_or_a_cluster_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs an environment of its own") as caught:
        Ray(tmp_path / "none", "", tmp_path / "a")
    assert "infra/install.sh ray" in str(caught.value)
    with pytest.raises(InputError, match="nobody answers at 127"):
        Ray(Path(sys.executable), "127.0.0.1:9", tmp_path / "a")


def test_a_driver_that_fails_ends_with_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(StageError, match="ended early, got exit code 1") as caught,
        Ray(Path(sys.executable), "", tmp_path / "a") as ray,
    ):
        ray.cluster([pa.array(["one two three"])], Wanted(), 0.8, None)
    assert "No module named 'daft'" in str(caught.value) and not (tmp_path / "a").exists()


@pytest.mark.parametrize("address", ["host", "host:port", "http://host:1", "two words:1"])
def test_an_address_that_is_none_is_refused_with_the_recipe(address: str) -> None:
    with pytest.raises(RecipeError, match="ray_address"):
        load("finance", "local", (f"curation.ray_address={address}",))


def test_a_small_source_does_not_start_ray(tmp_path: Path) -> None:
    assert not Ray(Path(sys.executable), "", tmp_path / "a", least_documents=10).pays(9)
    assert ray_runner.LEAST_DOCUMENTS > 1_000
    assert len(scan(texts_of(["a b"]), Wanted()).words) == 1
