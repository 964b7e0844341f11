"""What is compiled at installation is what a corpus then calls: nothing is left to be compiled by it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e  # half a minute of compiling
CURATE = """
import sys
from pathlib import Path
from data_curation.curate import curate
from tests.data_curation.corpus_sample import corpus, section
place = Path(sys.argv[1])
(place / "out").mkdir(parents=True)
curate(section(corpus(place / "corpus")), {}, place / "out")
"""


def test_a_corpus_compiles_nothing_that_installation_has_not(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "loops")}

    def compiled_by(*told: str) -> set[str]:
        subprocess.run([sys.executable, *told], env=environment, check=True, stdout=subprocess.DEVNULL)
        return {file.name for file in (tmp_path / "loops").rglob("*") if file.suffix in (".nbc", ".o")}

    first = compiled_by("-m", "data_curation.precompile")
    assert first
    assert compiled_by("-c", CURATE, str(tmp_path / "sample")) == first
