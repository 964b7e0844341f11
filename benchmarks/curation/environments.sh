#!/usr/bin/env bash
# Environments of the peers that near_duplicates.py measures beside the house's kernel, each of its own.
#   benchmarks/curation/environments.sh [daft|datatrove|datasketch|rensa ...]     PYTHON311=... names the interpreter
set -euo pipefail
cd "$(dirname "$0")/../.."
declare -A packages=(
    [daft]="daft==0.7.26 numpy==2.4.6 pyarrow==25.0.1"
    [datatrove]="datatrove==0.10.1 spacy regex numpy pyarrow orjson fasteners xxhash==3.5.0 tokenizers"
    [datasketch]="datasketch==2.0.0 numpy==2.4.6 pyarrow==26.0.1"
    [rensa]="rensa==0.5.0 numpy==2.4.6 pyarrow==26.0.1"
)
for peer in "${@:-daft datatrove datasketch rensa}"; do
    for one in $peer; do
        folder=.venv-peers/$one
        [ -x "$folder/bin/python" ] || "${PYTHON311:-python3.11}" -m venv "$folder"
        # shellcheck disable=SC2086
        "$folder/bin/pip" install --quiet --disable-pip-version-check ${packages[$one]}
        echo "$folder: $("$folder/bin/pip" freeze | grep -i "^$one==")" >&2
    done
done
