"""The book: open a lease before a device is used, beat while it is held, close it; nothing is ever changed or removed.

Times are taken from the lease's own clock (``Lease.clock``) unless ``at`` is given.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from fractions import Fraction
from pathlib import Path

from sqlalchemy import Connection, insert, select

from contracts.errors import BudgetError, LedgerError
from contracts.usage import Usage
from ledger import processes
from ledger.database import Database, UnreachableError, open_database, sqlite_file
from ledger.device_meter import DeviceMeter
from ledger.events import Event, Written, beat_event, insert_event, now, utc
from ledger.leases import WHOLE, Lease, Span, read_open, read_spans
from ledger.opening import insert_lease
from ledger.prices import PriceRow, store_prices
from ledger.reconcile import Reconciled, reconcile
from ledger.savings import insert_saving
from ledger.schema import build, estimate
from ledger.schema import lease as lease_table
from ledger.spool import Spool

logger = logging.getLogger(__name__)


class Ledger:
    """One ledger. Safe to use from threads, forked processes and several machines (PostgreSQL) at once."""

    def __init__(self, database: Database, spool: Spool) -> None:
        self._database, self._spool = database, spool
        self._leases: dict[str, Lease] = {}
        self._meters: dict[str, DeviceMeter] = {}

    @classmethod
    def open(cls, url: str, *, spool: Path | None = None, busy_seconds: float = 30.0) -> Ledger:
        """Open the ledger at a SQLAlchemy URL, create and migrate it where needed, replay what the spool holds.

        ``spool`` is a local folder, by default ``FILE.spool`` beside a SQLite file. Raises LedgerError.
        """
        database = open_database(url, busy_seconds)
        file = sqlite_file(url)
        if spool is None and file is None:
            raise LedgerError(database.name, "needs a folder for its spool", hint="give spool=, on a local disk")
        ledger = cls(database, Spool(spool or Path(f"{file}.spool")))
        ledger.replay()
        return ledger

    def reading(self) -> AbstractContextManager[Connection]:
        """A snapshot for the reports."""
        return self._database.reading()

    def writing(self) -> AbstractContextManager[Connection]:
        """One transaction of the one writer, for the ledger's own modules."""
        return self._database.writing()

    def start_build(
        self,
        build_id: str,
        vertical: str,
        scale: str,
        recipe_fingerprint: str,
        at: datetime | None = None,
        *,
        team: str = "",
    ) -> None:
        """Enter a build. Entering it again with the same particulars (a resumed build) changes nothing."""
        row = {"id": build_id, "vertical": vertical, "scale": scale, "recipe_fingerprint": recipe_fingerprint}
        with self._database.writing() as connection:
            known = connection.execute(select(build).where(build.c.id == build_id)).mappings().first()
            if known is None:
                connection.execute(insert(build).values(**row, team=team, started_at=utc(at or now())))
            elif {name: known[name] for name in row} != row:
                told = ", ".join(f"{name} {known[name]}" for name in row if known[name] != row[name])
                raise LedgerError(f"build {build_id}", "is in the ledger already and was another build", got=told)

    def open_lease(
        self,
        build_id: str,
        stage: str,
        artifact_fingerprint: str,
        device: str,
        device_count: int,
        host: str,
        boot_id: str,
        supervisor_pid: int,
        supervisor_start_ticks: int,
        at: datetime | None = None,
        *,
        share: Fraction = WHOLE,
        expected_micro_usd: int | None = None,
    ) -> Lease:
        """Open a lease; committed to disk when this returns, so call it before the child is started.

        ``host`` and ``boot_id`` as ``processes.host`` and ``processes.boot_id`` tell them; ``share`` is the part of
        each device that a MIG instance takes. Every budget over the build is asked in the same transaction, and
        ``expected_micro_usd`` reserved. Raises LedgerError, or BudgetError: then nothing may be started.
        """
        wanted = Lease(
            id=uuid.uuid4().hex,
            build_id=build_id,
            stage=stage,
            artifact_fingerprint=artifact_fingerprint,
            attempt=0,
            device=device,
            device_count=device_count,
            host=host,
            boot_id=boot_id,
            supervisor_pid=supervisor_pid,
            supervisor_start_ticks=supervisor_start_ticks,
            opened_at=utc(at or now()),
            opened_boot_seconds=processes.boot_seconds(),
            share_numerator=share.numerator,
            share_denominator=share.denominator,
        )
        with self._database.writing() as connection:
            opened = insert_lease(connection, wanted, expected_micro_usd)
        if isinstance(opened, BudgetError):  # raised only now: that it was refused stays in the ledger
            raise opened
        self._leases[opened.id] = opened
        return opened

    def hold(
        self,
        build_id: str,
        stage: str,
        artifact_fingerprint: str,
        device: str,
        device_count: int = 1,
        *,
        share: Fraction = WHOLE,
        expected_micro_usd: int | None = None,
        meter: DeviceMeter | None = None,
    ) -> Lease:
        """``open_lease`` with this process as the supervisor. ``meter`` is read at each beat and at the close."""
        me = processes.this_process()
        lease = self.open_lease(
            build_id, stage, artifact_fingerprint, device, device_count, **me,
            share=share, expected_micro_usd=expected_micro_usd,
        )  # fmt: skip
        if meter is not None:
            self._meters[lease.id] = meter
        return lease

    def attach_child(self, lease_id: str, pid: int, start_ticks: int, at: datetime | None = None) -> Written:
        """Tell which process works under the lease, so that an orphan can be found."""
        event = Event(
            idempotency_key=f"{lease_id}:child:{pid}:{start_ticks}",
            kind="child",
            lease_id=lease_id,
            at=at or self._clock(lease_id),
            detail={"pid": pid, "start_ticks": start_ticks},
        )
        return self._record(event)

    def beat(self, lease_id: str, at: datetime | None = None) -> Written:
        """A sign of life. Goes to the spool when the database cannot be reached."""
        return self._record(beat_event(lease_id, at or self._clock(lease_id), **self._metered(lease_id)))

    def close(self, lease_id: str, exit_code: int, usage: Usage | None = None, at: datetime | None = None) -> Written:
        """End the lease. A second close changes nothing. Goes to the spool when the database cannot be reached."""
        event = Event(
            idempotency_key=f"{lease_id}:close",
            kind="close",
            lease_id=lease_id,
            at=at or self._clock(lease_id),
            exit_code=exit_code,
            detail={"usage": None if usage is None else usage.model_dump(mode="json"), **self._metered(lease_id)},
        )
        written = self._record(event)
        self._leases.pop(lease_id, None)
        self._meters.pop(lease_id, None)
        return written

    def record_saved(
        self,
        build_id: str,
        stage: str,
        fingerprint: str,
        saved_device_seconds: float = 0.0,
        device: str = "cpu",
        at: datetime | None = None,
    ) -> float:
        """Book a cache hit and return the device-seconds it spared, once a build, stage and fingerprint.

        That is what the ledger billed for the attempt that made the artifact; ``saved_device_seconds`` and ``device``
        stand in only where this ledger has no such lease (an artifact that came from elsewhere). Failed attempts
        before it are not counted as saved.
        """
        with self._database.writing() as connection:
            return insert_saving(connection, build_id, stage, fingerprint, (device, saved_device_seconds), at or now())

    def record_estimate(
        self,
        build_id: str,
        stage: str,
        device: str,
        device_seconds: float,
        micro_usd: int | None,
        at: datetime | None = None,
    ) -> None:
        """Keep what the plan said about a stage. The latest one counts."""
        row = {"build_id": build_id, "stage": stage, "device": device, "device_seconds": device_seconds}
        with self._database.writing() as connection:
            connection.execute(insert(estimate).values(**row, micro_usd=micro_usd, made_at=utc(at or now())))

    def load_prices(self, catalogue: Mapping[str, Sequence[PriceRow]], replaces: tuple[str, ...] | None = None) -> int:
        """Device to ``[(valid from, USD per device-hour, source)]``; see ``prices.store_prices``."""
        with self._database.writing() as connection:
            return store_prices(connection, catalogue, replaces)

    def reconcile(self, now: datetime | None = None, ttl_seconds: float = 60.0) -> list[Reconciled]:
        """End the leases whose supervisor died and report orphans; see ``ledger.reconcile``. Idempotent."""
        self.replay()
        with self._database.writing() as connection:
            return reconcile(connection, now, ttl_seconds)

    def open_leases(self) -> list[Span]:
        """Leases without an end, oldest first."""
        with self.reading() as connection:
            return read_open(connection)

    def replay(self) -> int:
        """Bring spooled events into the database; returns how many went. Events of unknown leases stay."""
        return self._spool.replay(self._place)

    def _place(self, events: Sequence[Event]) -> list[Event]:
        left = []
        with self._database.writing() as connection:
            known = set(connection.execute(select(lease_table.c.id)).scalars())
            for event in events:
                if event.lease_id in known:
                    insert_event(connection, event)
                else:
                    left.append(event)
        if left:
            logger.warning("%s: %d spooled events of leases it does not know stay", self._database.name, len(left))
        return left

    def _record(self, event: Event) -> Written:
        try:
            with self._database.writing() as connection:
                fresh = insert_event(connection, event)
        except LedgerError as error:
            # A lease opened here that the database does not know: the file was replaced by another ledger.
            if not isinstance(error, UnreachableError) and event.lease_id not in self._leases:
                raise
            self._spool.append(event)
            logger.warning("%s; the %s waits in the spool", error.line, event.kind)
            return "spooled"
        if self._spool.waiting:
            try:
                self.replay()
            except (LedgerError, OSError) as error:
                logger.warning("the spool could not be replayed yet: %s", error)
        return "written" if fresh else "known"

    def _metered(self, lease_id: str) -> dict[str, dict[str, float]]:
        """What the lease's devices say now, as a part of an event; nothing where they say nothing."""
        told = self._meters[lease_id].sample() if lease_id in self._meters else {}
        return {"meter": told} if told else {}

    def _clock(self, lease_id: str) -> datetime:
        lease = self._leases.get(lease_id)
        if lease is not None:
            return lease.clock()
        try:
            with self.reading() as connection:
                spans = read_spans(connection, lease_table.c.id == lease_id)
        except UnreachableError:
            return now()
        return spans[0].lease.clock() if spans else now()
