"""What a cache hit spared."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ledger.events import Event, insert_event
from ledger.leases import read_spans
from ledger.schema import lease


def insert_saving(
    connection: Connection, build_id: str, stage: str, fingerprint: str, otherwise: tuple[str, float], at: datetime
) -> float:
    """Book a hit once a build, stage and fingerprint; returns the device-seconds that it spared.

    They are those billed for the attempt that made the artifact; ``otherwise``, a device and its seconds, stands in
    where this ledger has no such lease.
    """
    made = [
        span
        for span in read_spans(connection, lease.c.artifact_fingerprint == fingerprint)
        if span.status == "done" and span.lease.stage == stage
    ]
    device, seconds = (made[-1].lease.device, made[-1].billed_device_seconds) if made else otherwise
    detail: dict[str, Any] = {"stage": stage, "fingerprint": fingerprint, "device": device, "device_seconds": seconds}
    event = Event(
        idempotency_key=f"saved:{build_id}:{stage}:{fingerprint}",
        kind="saved",
        lease_id=made[-1].lease.id if made else None,
        build_id=build_id,
        at=at,
        detail=detail,
    )
    insert_event(connection, event)
    return seconds
