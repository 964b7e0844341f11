#!/usr/bin/env bash
# Makes .venv (flow, stages, tests), .venv-vllm (the serving engine) and .venv-ray (Daft on Ray), each only when its lock
# has changed since.
#   infra/install.sh [main|vllm|ray|all]
# PYTHON311=... names the interpreter, python3.11 otherwise. ACCELERATOR=cpu or cuda names the build of torch and the
# engine; otherwise it is cuda where nvidia-smi finds a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
checkout=$PWD
python311=${PYTHON311:-python3.11}
torch_cpu_index=https://download.pytorch.org/whl/cpu

say() { printf '%s\n' "install: $*" >&2; }

fail() {
    printf '%s\n\nhint: %s\n' "$1" "$2" >&2
    exit 2
}

is_current() { # environment, digest
    [ -x "$1/bin/python" ] && [ "$(cat "$1/.stillroom-lock" 2>/dev/null)" = "$2" ]
}

new_environment() { # environment
    command -v "$python311" >/dev/null ||
        fail "$python311: no such command" "install Python 3.11, or name it: make install PYTHON311=/path/to/python3.11"
    [ -x "$1/bin/python" ] || "$python311" -m venv "$1"
    "$1/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
        fail "$1: is no Python 3.11, got $("$1/bin/python" --version)" "remove $1 and run make install again"
}

pip_install() { # environment, pip's arguments
    local environment=$1
    shift
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

digest_of() { cat "$@" | sha256sum | cut -d ' ' -f 1; }

found_accelerator() {
    if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then echo cuda; else echo cpu; fi
}

accelerator=${ACCELERATOR:-$(found_accelerator)}
case $accelerator in cpu | cuda) ;; *) fail "ACCELERATOR: must be cpu or cuda, got $accelerator" "unset it to look for a GPU" ;; esac
torch_lock=infra/requirements-torch-$accelerator.lock

install_torch() { # environment, lock: from where this machine's pip looks, else the CPU build from its project's own index
    local wanted=(--no-deps --require-hashes -r "$2")
    if [ "$2" = infra/requirements-torch-cpu.lock ]; then
        pip_install "$1" "${wanted[@]}" 2>/dev/null || pip_install "$1" --extra-index-url "$torch_cpu_index" "${wanted[@]}"
    else
        pip_install "$1" "${wanted[@]}"
    fi
}

write_command() { # .venv/bin/stillroom: the checkout's own code, from any folder
    cat > .venv/bin/stillroom <<COMMAND
#!/bin/sh
PYTHONPATH="$checkout\${PYTHONPATH:+:\$PYTHONPATH}" exec "$checkout/.venv/bin/python" -P -m flows.cli "\$@"
COMMAND
    chmod +x .venv/bin/stillroom
}

compile_loops() { # of curation, where they are not compiled yet: the first corpus would wait for it
    [ -f data_curation/precompile.py ] || return 0 # an image installs before it has the code
    .venv/bin/python -m data_curation.precompile > /dev/null
}

install_main() {
    local digest
    digest=$(digest_of "$torch_lock" infra/requirements.lock)
    if ! is_current .venv "$digest"; then
        say "the main environment, .venv"
        new_environment .venv
        install_torch .venv "$torch_lock"
        pip_install .venv --no-deps --require-hashes -r infra/requirements.lock
        echo "$digest" > .venv/.stillroom-lock
    fi
    write_command
    compile_loops
}

install_vllm() {
    local lock=infra/requirements-vllm-cpu.lock digest
    if [ "$accelerator" = cuda ]; then lock=infra/requirements-vllm-gpu.txt; fi
    digest=$(digest_of "$torch_lock" "$lock")
    if ! is_current .venv-vllm "$digest"; then
        say "the serving environment, .venv-vllm, from $lock"
        new_environment .venv-vllm
        if grep -q -- '--hash=' "$lock"; then
            install_torch .venv-vllm "$torch_lock"
            pip_install .venv-vllm --no-deps --require-hashes -r "$lock"
        else
            pip_install .venv-vllm -r "$lock"
        fi
        echo "$digest" > .venv-vllm/.stillroom-lock
    fi
}

install_ray() {
    local digest
    digest=$(digest_of infra/requirements-ray.lock)
    if ! is_current .venv-ray "$digest"; then
        say "the environment of Daft and Ray, .venv-ray"
        new_environment .venv-ray
        pip_install .venv-ray --no-deps --require-hashes -r infra/requirements-ray.lock
        echo "$digest" > .venv-ray/.stillroom-lock
    fi
}

case ${1:-all} in
    main) install_main ;;
    vllm) install_vllm ;;
    ray) install_ray ;;
    all)
        install_main
        install_vllm
        install_ray
        infra/install-chromium.sh
        infra/install-postgresql.sh
        ;;
    *) fail "install.sh: no such environment, got $1" "one of main, vllm, ray, all" ;;
esac
