#!/usr/bin/env bash
# The server the ledger's tests start for themselves. Without it these tests are skipped: a failure here only warns.
set -uo pipefail
if compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null; then exit 0; fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "install: no PostgreSQL and no right to install it; the ledger is tested on SQLite only" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
install_packages() { apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
# Debian's package would make a cluster of its own and start it; nobody asked for one.
if ! { apt-get update -qq && install_packages postgresql-common &&
    sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf &&
    install_packages postgresql; }; then
    echo "install: PostgreSQL could not be installed; the ledger is tested on SQLite only" >&2
fi
exit 0
