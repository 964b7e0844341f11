"""A Ray cluster of two nodes on loopback, each with one worker, until stdin ends: python ray_nodes.py, in the Ray
environment. Prints the address; nothing of the checkout is importable there unless the driver brings it."""

from __future__ import annotations

import os
import sys
import tempfile

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_DISABLE_DASHBOARD="1", OMP_NUM_THREADS="1")

from ray.cluster_utils import Cluster

with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as scratch:
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "temp_dir": scratch}
    )
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        sys.stdout.write(cluster.address + "\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        cluster.shutdown()
