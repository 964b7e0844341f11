"""Settings: the only reader of the environment. Everything else is told."""

from __future__ import annotations

import os
import shutil
import subprocess
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.errors import InputError

if TYPE_CHECKING:
    from ledger.devices import Held

CHECKOUT = Path(__file__).resolve().parent.parent
NO_KEY = SecretStr("")


class Settings(BaseSettings):
    """Where state lies and how stages run, each field from ``STILLROOM_<NAME>``. Raises InputError for a wrong one."""

    model_config = SettingsConfigDict(env_prefix="STILLROOM_", frozen=True, extra="ignore")

    home: Path = CHECKOUT / ".stillroom"
    """All state: artifacts, work in progress, ledger, Prefect's own, logs, reports."""
    corpus: Path | None = None
    """The folder of real documents, where a build names none; unset: the recipe's writer makes them."""
    inbox: Path = CHECKOUT / "inbox"
    """Where drops are looked for: ``inbox/VERTICAL/CORPUS/``."""
    inbox_url: str = ""
    """Where drops come from instead (any URL that fsspec knows): complete ones are copied to ``inbox``."""
    inbox_rest_seconds: float = Field(default=30.0, ge=0)
    """A drop without a marker is complete when nothing in it has changed for so long."""
    ledger_url: str = ""
    """SQLAlchemy URL; empty: SQLite in ``home``."""
    vllm_python: Path = CHECKOUT / ".venv-vllm" / "bin" / "python"
    ray_python: Path = CHECKOUT / ".venv-ray" / "bin" / "python"
    heartbeat_seconds: float = Field(default=15.0, gt=0)
    lease_ttl_seconds: float = Field(default=60.0, gt=0)
    prefect_port: int = Field(default=4200, ge=1, le=65535)
    allow_downloads: bool = False
    """Let stages fetch models from a hub; off, they say what is missing."""
    usd_per_device_hour: float | None = Field(default=None, ge=0)
    """Your own price of the device in use, instead of the catalogue's."""
    team: str = ""
    """Who builds: whose budgets count, and whose line it is in the reports."""
    device_share: str = ""
    """Which part of a device is held, e.g. ``2/7``; empty: what the driver says of the MIG instance in use, or all."""
    dashboard_key: SecretStr = NO_KEY
    """What readers of the dashboard must give where it is served to other machines."""
    teacher_usd_per_1m_tokens_in: float | None = Field(default=None, ge=0)
    teacher_usd_per_1m_tokens_out: float | None = Field(default=None, ge=0)
    """What a teacher behind an API charges; unset: its tokens are counted, its cost is told to be unknown."""

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            detail = error.errors()[0]
            variable = f"STILLROOM_{str(detail['loc'][0]).upper()}"
            hint = f"the README lists the settings; unset {variable} for its default"
            fact = detail["msg"].partition(",")[0].replace("Input should be", "must be")
            raise InputError(variable, fact, got=repr(detail["input"]), hint=hint) from None

    @field_validator("home", "corpus", "inbox", "vllm_python", "ray_python")
    @classmethod
    def _absolute(cls, place: Path | None) -> Path | None:
        """Stages and servers run in the checkout, whatever folder the command was given in."""
        return place.expanduser().absolute() if place is not None else None

    @property
    def ledger(self) -> str:
        """The ledger's URL."""
        return self.ledger_url or f"sqlite:///{self.home / 'ledger.sqlite3'}"

    @property
    def api_url(self) -> str:
        """The Prefect server's API, on loopback."""
        return f"http://127.0.0.1:{self.prefect_port}/api"

    @cached_property
    def device(self) -> str:
        """The accelerator's name as its driver says it, or ``cpu``."""
        return self._held.device if self._held else "cpu"

    @cached_property
    def device_count(self) -> int:
        """How many accelerators a device stage is leased."""
        return self._held.count if self._held else 1

    @cached_property
    def share(self) -> Fraction:
        """Which part of each device is held. Raises InputError for a setting that is no part of a whole."""
        if self.device_share:
            try:
                told = Fraction(self.device_share)
            except (ValueError, ZeroDivisionError):
                told = Fraction(0)
            if not 0 < told <= 1:
                hint = "a part of one device, such as 2/7"
                raise InputError(
                    "STILLROOM_DEVICE_SHARE", "must be above 0 and up to 1", got=self.device_share, hint=hint
                )
            return told
        return self._held.share if self._held else Fraction(1)

    @property
    def metered_devices(self) -> tuple[str, ...]:
        """UUIDs of the accelerators held whole: the counters of a shared one tell of its other tenants too."""
        return self._held.uuids if self._held and self.share == 1 else ()

    @cached_property
    def _held(self) -> Held | None:
        """What the driver and ``CUDA_VISIBLE_DEVICES`` say; None on a machine without a driver."""
        listed = _nvidia_smi("-L")
        if not listed:
            return None
        from ledger.devices import held  # here: the ledger's database library is slow to import

        sliced = any(line.startswith("MIG ") for line in listed)
        memory = _nvidia_smi("--query-gpu=memory.total", "--format=csv,noheader,nounits") if sliced else []
        return held(listed, os.environ.get("CUDA_VISIBLE_DEVICES"), [float(one) / 1024 for one in memory])


def _nvidia_smi(*query: str) -> list[str]:
    """The lines that the driver's tool prints; none where there is no such tool or it fails."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        seen = subprocess.run([tool, *query], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in seen.stdout.splitlines() if line.strip()] if seen.returncode == 0 else []


def secret(name: str) -> SecretStr:
    """The key in an environment variable that a recipe names. Raises InputError where there is none to send."""
    value = os.environ.get(name, "").strip()
    if not value:
        hint = "export it where the flow runs (for a deployment: before stillroom up), or name another in the recipe"
        raise InputError(f"environment variable {name}", "is not set", hint=hint)
    if not value.isascii() or not value.isprintable() or " " in value:
        hint = "it must be one word of printable ASCII: an HTTP header carries nothing else"
        raise InputError(f"environment variable {name}", "holds no key", got=f"{len(value)} characters", hint=hint)
    return SecretStr(value)


def inherited(without: str = "") -> dict[str, str]:
    """Our own environment, for a process that we start, less one variable that is not meant for it."""
    return {name: value for name, value in os.environ.items() if name != without}


def documents(corpus: Path | None, settings: Settings) -> Path | None:
    """The documents named, or the setting's, or none. Raises InputError where they are not there."""
    named = corpus or settings.corpus
    if named is None:
        return None
    found = named.expanduser()
    if not found.exists():
        hint = "give a folder or a file of documents, or leave it out: the recipe's writer makes them"
        raise InputError("--corpus" if corpus else "STILLROOM_CORPUS", "is not there", got=named, hint=hint)
    return found.resolve()
