"""One build: its recipe, its place, its lease on the vertical, and what happened in it so far."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.artifacts import FULL, digest, unwritable
from contracts.build_report import StageLine
from contracts.errors import BudgetError, BusyError, InputError
from flows import warm
from flows.priced_ledger import device_price, open_ledger
from flows.process import environment
from flows.settings import Settings
from flows.store import Store
from ledger import Lease, Ledger, build_totals
from ledger.budgets import stop_if_overspent
from ledger.database import UnreachableError
from ledger.device_meter import nvml_meter
from ledger.leases import WHOLE
from recipes.calibration import Calibration
from recipes.catalogue import device_row
from recipes.estimate import Group, estimate
from recipes.fingerprint import fingerprint, identity
from recipes.schema import Recipe
from recipes.section import Section
from recipes.stage_sections import CurateSection

LOG_EVERY_SECONDS = 2.0
RECIPE = "recipe.json"
"""In a build's folder: what it was asked for, which the planner compares with what it took."""
TORCH_ROOMS = ("training", "evaluation", "distillation", "selection")
ROOMS = {"serving": "serve", "evaluation": "evaluate", "distill": "distil", "curation": "curate"}
"""What people call a stage, and its name."""


class Enough(Exception):
    """What ``--only`` asked for is done; the chain goes no further."""


@dataclass
class Build:
    """What the choke point needs to know, and what it leaves behind for the report."""

    id: str
    recipe: Recipe
    settings: Settings
    ledger: Ledger
    store: Store
    corpus: Path | None = None
    only: str = ""
    from_stage: str = ""
    lines: list[StageLine] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    logger: Any = field(default_factory=lambda: logging.getLogger("stillroom"))
    calibration: Calibration = field(default_factory=Calibration)
    """What earlier builds took, for the estimates that the ledger keeps."""
    shown: Callable[[str, dict[str, Any]], None] = lambda _stage, _told: None
    """Told of progress, beside the file that ``progress`` writes."""
    running: str = ""
    """The stage under way."""
    digests: dict[str, str] = field(default_factory=dict)
    """Source's path to the digest of its files, as far as it is known."""
    _ready: subprocess.Popen[str] | None = None
    _forcing: bool = False
    _logged_at: float = 0.0

    @property
    def folder(self) -> Path:
        """Where the build's own records and report lie."""
        return self.settings.home / "builds" / self.id

    @property
    def child_environment(self) -> dict[str, str]:
        """What every stage's process is given. The teacher's key is not in it: one stage needs it, and is told."""
        return environment(self.settings.allow_downloads, without=self.recipe.capture.api_key_env)

    def forced(self, stage: str) -> bool:
        """``--from STAGE`` makes that stage, and all after it, anew."""
        self._forcing = self._forcing or bool(self.from_stage and meant(self.from_stage, stage))
        return self._forcing

    def wanted(self, stage: str) -> bool:
        """Whether ``--only`` names this stage."""
        return meant(self.only, stage)

    def refuse_unwanted(self, stage: str) -> None:
        """Where ``--only`` names another stage: raise Enough behind it, InputError before it."""
        if not self.only or self.wanted(stage):
            return
        if any(self.wanted(line.stage) for line in self.lines):
            raise Enough(stage)
        hint = f"run without --only first; stillroom why {self.recipe.vertical} {stage} tells what changed"
        raise InputError(f"--only {self.only}", "needs an artifact that is not built yet", got=stage, hint=hint)

    def data(self, section: Section) -> dict[str, str]:
        """Digests of the documents that a stage reads itself (curation does); ``digests`` knows those of before."""
        if not isinstance(section, CurateSection) or self.corpus is None:
            return {}
        found = source_digests(self.corpus, section, self.digests)
        self.digests |= found
        return found

    def open_lease(self, stage: str, artifact: str, device: bool) -> Lease:
        """Open a line in the ledger; nothing starts before it is written."""
        self._check_budget(stage)
        name, count = (self.settings.device, self.settings.device_count) if device else ("cpu", 1)
        known = device_row(name)
        expected = estimate(self.recipe, stage, Group(known[0], count)) if device and known else None
        micro_usd = None
        if known and expected is not None:
            band = self.calibration.corrected(stage, known[0], self.recipe.scale, expected.device_seconds)[0]
            price, seconds = device_price(self.settings)[0], (band or expected.device_seconds)[1]
            micro_usd = None if price is None else round(seconds / 3600 * price * 1e6)
            self.ledger.record_estimate(self.id, stage, name, seconds, micro_usd)
        share = self.settings.share if device else WHOLE
        meter = nvml_meter(self.settings.metered_devices if device else ())
        return self.ledger.hold(
            self.id, stage, artifact, name, count, share=share, expected_micro_usd=micro_usd, meter=meter
        )

    def check_budgets(self, lease: Lease) -> None:
        """At a whole checkpoint: raise BudgetError where a budget that stops, or the recipe's own, is spent."""
        stop_if_overspent(self.ledger, lease)
        try:
            self._check_budget(lease.stage)
        except UnreachableError as error:  # a run is not ended because its ledger cannot be reached
            self.logger.warning("the recipe's budget could not be asked at a checkpoint: %s", error.line)

    def _check_budget(self, stage: str) -> None:
        """Nothing goes on past the recipe's budget; what is complete stays, so a raised budget goes on from there."""
        spent, allowed = build_totals(self.ledger, self.id).known_micro_usd / 1e6, self.recipe.budget.usd
        if spent >= allowed:
            hint = "raise budget.usd; the next run goes on from what is complete"
            raise BudgetError(
                f"stage {stage}", f"the budget of {allowed:g} USD is spent", got=f"{spent:.4f} USD", hint=hint
            )

    def interpreter(self, module: str, device: bool) -> subprocess.Popen[str] | None:
        """The interpreter made ready for a stage that needs torch; the next one gets ready while this one works."""
        if not device or module.split(".")[0] not in TORCH_ROOMS:
            return None
        ready, self._ready = self._ready, warm.prepare(self.child_environment)
        return ready

    def dismiss(self) -> None:
        """End the interpreter that no stage needs any more."""
        if self._ready is not None:
            self._ready.kill()
            self._ready.communicate()

    def record(self, line: StageLine) -> None:
        """Keep a stage's line, in memory and on disk."""
        self.lines.append(line)
        how = f"cached, saves {line.saved_device_seconds:.0f} s" if line.cached else f"{line.wall_seconds:.1f} s"
        self.logger.info("%s: %s", line.stage, how)
        self.write("lines.json", [one.model_dump(mode="json") for one in self.lines])

    def note(self, text: str) -> None:
        """Keep a decision that is no artifact's own."""
        self.notes.append(text)
        self.logger.info(text)

    def progress(self, stage: str, told: dict[str, Any]) -> None:
        """How far the running stage is, for whoever watches."""
        self.write("progress.json", {"stage": stage, "at": time.time(), **told})
        self.shown(stage, told)

    def log(self, stage: str, line: str) -> None:
        """A line of a stage's output, at most one every two seconds; the whole of it is in the stage's log."""
        if time.monotonic() - self._logged_at >= LOG_EVERY_SECONDS:
            self._logged_at = time.monotonic()
            self.logger.info("%s | %s", stage, line[:300])

    def write(self, name: str, data: Any) -> None:
        """A JSON file of the build's folder, replaced as a whole."""
        part = self.folder / f".{name}.part"
        part.write_text(json.dumps(data, ensure_ascii=False, default=str), encoding="utf-8")
        part.rename(self.folder / name)


@contextmanager
def opened(
    build_id: str, recipe: Recipe, settings: Settings, corpus: Path | None, only: str, from_stage: str
) -> Iterator[Build]:
    """A build that holds its vertical. Raises BusyError while another one builds it, PublishError on a full disk."""
    with _sole_builder(settings.home, recipe.vertical):
        ledger = open_ledger(settings)
        reconcile(ledger, settings)
        build = Build(build_id, recipe, settings, ledger, Store(settings.home), corpus, only, from_stage)
        build.folder.mkdir(parents=True, exist_ok=True)
        build.write(RECIPE, recipe.model_dump(mode="json"))
        identified = fingerprint(identity(recipe))
        ledger.start_build(build_id, recipe.vertical, recipe.scale, identified, team=settings.team)
        try:
            yield build
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise unwritable(error.filename or settings.home, error) from error
        finally:
            build.dismiss()


def reconcile(ledger: Ledger, settings: Settings) -> None:
    """Close what dead supervisors left open; a living orphan is reported."""
    for one in ledger.reconcile(ttl_seconds=settings.lease_ttl_seconds):
        logging.getLogger("stillroom").warning("ledger: %s", one)


def source_digests(corpus: Path, section: CurateSection, known: Mapping[str, str]) -> dict[str, str]:
    """``corpus_digests`` of a section's sources; of those that are known nothing is read."""
    paths = sorted({source.path for source in section.sources.values()})
    told = {path: known[path] for path in paths if path in known}
    return told | corpus_digests(corpus, [path for path in paths if path not in told])


def corpus_digests(corpus: Path, paths: list[str]) -> dict[str, str]:
    """SHA-256 of every file of the corpus that a source names; a missing one is recorded as missing."""
    if not corpus.exists():
        hint = "give a folder with the recipe's sources, or leave --corpus out to let the writer make documents"
        raise InputError("--corpus", "is not there", got=corpus, hint=hint)
    if corpus.is_file():
        return {corpus.name: digest(corpus)}
    found: dict[str, str] = {}
    for path in paths:
        place = corpus / path
        files = sorted(one for one in place.rglob("*") if one.is_file()) if place.is_dir() else [place]
        joined = hashlib.sha256()
        for one in files:
            joined.update(f"{one.relative_to(corpus)}:{digest(one) if one.is_file() else 'missing'}\n".encode())
        found[path] = joined.hexdigest()
    return found


def meant(word: str, stage: str) -> bool:
    """``student`` means every student, ``student:student-7b`` one; the rooms' names do for their stages."""
    wanted = ROOMS.get(word, word)
    return stage == wanted or stage.split(":")[0] == wanted


@contextmanager
def _sole_builder(home: Path, vertical: str) -> Iterator[None]:
    lock_path = home / "locks" / f"{vertical}.lock"
    lock_path.parent.mkdir(parents=True, exist_ok=True)
    with lock_path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            hint = "wait for it; its progress is in the Prefect page and in stillroom ledger"
            raise BusyError(vertical, "is being built already", got=lock.read().strip() or None, hint=hint) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        yield
