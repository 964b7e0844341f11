"""Daft's driver on Ray: a process of its own in the Ray environment, which carries out one order a line of stdin.

    python -m data_curation.ray_driver   (started by ``ray_runner``; ``infra/install.sh ray`` makes the environment)

The first line is a ``ray_order.Session``, each later one an ``Order``; a line with ``DONE`` answers each. At the end of
stdin, on an error and when the process that started it dies, a Ray of its own ends too.
Daft: https://docs.daft.ai; Ray: https://docs.ray.io.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from contracts.lifeline import die_with
from data_curation.ray_order import DONE, Order, Session

ROOM = Path(__file__).resolve().parent
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_DASHBOARD": "1", "DO_NOT_TRACK": "1", "SCARF_NO_ANALYTICS": "1",
    "DAFT_ANALYTICS_ENABLED": "0", "DAFT_PROGRESS_BAR": "0", "OMP_NUM_THREADS": "1",
}  # fmt: skip
OWN = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_gcs_rpc_server_reconnect_timeout_s": "20",
    "PYTHONPATH": str(ROOM.parent),
}  # fmt: skip
"""For a Ray of our own. Where it does not expect other machines it binds to 127.0.0.1, on Linux as elsewhere. Once it
is killed, its agents wait so long for it and end."""


def main() -> None:
    """Connect or start, carry out the orders, and always leave Ray."""
    session = Session.model_validate_json(sys.stdin.readline())
    die_with(session.parent_pid)
    os.environ.update(QUIET if session.address else QUIET | OWN)  # both look at it when they are imported
    with _ray(session):
        from data_curation.ray_clusters import carried_out

        for line in sys.stdin:
            order = Order.model_validate_json(line)
            np.savez(order.result, **carried_out(order))
            sys.stdout.write(DONE + "\n")
            sys.stdout.flush()


@contextmanager
def _ray(session: Session) -> Iterator[None]:
    """A cluster by its address, or a Ray of our own on loopback that ends with us."""
    import daft
    import ray

    shared: dict[str, Any] = {"logging_level": "error", "log_to_driver": False}
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as scratch:
        if session.address:
            room = {"py_modules": [str(ROOM)], "excludes": ["__pycache__"], "env_vars": QUIET}
            ray.init(session.address, runtime_env=room, **shared)
        else:
            own: dict[str, Any] = {"num_cpus": session.workers} if session.workers else {}
            ray.init(include_dashboard=False, _temp_dir=scratch, **own, **shared)
        try:
            daft.set_runner_ray(noop_if_initialized=True)
            yield
        finally:
            ray.shutdown()


if __name__ == "__main__":
    main()
