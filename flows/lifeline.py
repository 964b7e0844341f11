"""A flow that a worker launched ends with its worker: nobody else would book, stop or restart it."""

from __future__ import annotations

import ctypes
import signal
import sys

from prefect.runtime import deployment

from contracts.lifeline import PR_SET_PDEATHSIG


def die_with_worker() -> None:
    """Ask the kernel for SIGKILL when the worker dies; a flow run by hand has none and stays (Linux only).

    What the stage was doing is on disk and its lease is open: the reconciler closes it, the next run resumes.
    """
    if sys.platform == "linux" and deployment.id:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
