"""A real stage that is given a secret and writes down only its digest."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pydantic import SecretStr

from contracts.artifacts import Artifact, describe
from contracts.stage import stage_main
from contracts.usage import Usage
from recipes.section import Section, not_identity

CODE_VERSION = "1"


class SecretSection(Section):
    """``variable`` is looked for in the stage's own environment."""

    variable: str
    key: SecretStr = not_identity()


def keep(section: SecretSection, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """Tell what has arrived, and by which way."""
    digest = hashlib.sha256(section.key.get_secret_value().encode()).hexdigest()
    return describe(out_dir, "tiny", {"digest": digest, "in_environment": section.variable in os.environ}), Usage()


if __name__ == "__main__":
    stage_main(keep, SecretSection)
