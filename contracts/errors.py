"""Every error a user can meet, in the house's form: *subject: fact, got value*, a blank line, *hint: what to do*.

StillroomError
|-- RecipeError       a recipe does not validate (all of its faults at once)           exit 2
|-- InputError        a corpus, file or argument cannot be used                        exit 2
|   `-- LicenceError  a licence that the policy forbids
|-- FitError          a model does not fit the device, or two settings do not go together  exit 2
|   `-- TokenizerMismatch  teacher and student do not share ids
|-- GateError         a contract between two stages is broken: nothing more is spent   exit 3
|-- StageError        a stage's process failed (its log's tail is in the message)      exit 4
|   `-- ServeError    the serving engine did not start or answer
|-- PublishError      an artifact could not be written (disk full, no permission)      exit 5
|-- LedgerError       the ledger cannot be written or read: nothing starts             exit 6
|   `-- BudgetError   the spend would pass a budget
`-- BusyError         something else holds the build, the port or the device           exit 7
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class StillroomError(Exception):
    """Base of all errors with a message for people. Raise a subclass."""

    exit_code = 1

    def __init__(self, subject: str, fact: str, *, got: object = None, hint: str = "") -> None:
        self.subject, self.fact, self.got, self.hint = subject, fact, got, hint
        super().__init__(str(self))

    def __reduce__(self) -> tuple[object, ...]:
        return (from_data, (self.as_data(),))

    @property
    def line(self) -> str:
        """The first line: ``subject: fact, got value``."""
        got = "" if self.got is None else f", got {self.got}"
        return f"{self.subject}: {self.fact}{got}"

    def as_data(self) -> dict[str, str | None]:
        """What crosses the border of a process; ``from_data`` makes it an error again."""
        got = None if self.got is None else str(self.got)
        return {"kind": type(self).__name__, "subject": self.subject, "fact": self.fact, "got": got, "hint": self.hint}

    def __str__(self) -> str:
        return f"{self.line}\n\nhint: {self.hint}" if self.hint else self.line


class RecipeError(StillroomError):
    """A recipe that does not validate; ``faults`` holds every fault found, not only the first."""

    exit_code = 2

    def __init__(
        self,
        subject: str,
        fact: str,
        *,
        got: object = None,
        hint: str = "",
        faults: Sequence[StillroomError] = (),
    ) -> None:
        self.faults = tuple(faults)
        super().__init__(subject, fact, got=got, hint=hint)

    def as_data(self) -> dict[str, str | None]:
        """The same; every fault stands in the hint."""
        return super().as_data() | ({"hint": str(self)} if self.faults else {})

    def __str__(self) -> str:
        return "\n\n".join(str(fault) for fault in self.faults) or super().__str__()


class InputError(StillroomError):
    """A corpus, file or argument that cannot be used."""

    exit_code = 2


class LicenceError(InputError):
    """A licence that the recipe's policy forbids."""


class FitError(StillroomError):
    """A model that does not fit its device, or settings that exclude each other."""

    exit_code = 2


class TokenizerMismatch(FitError):
    """Teacher and student do not share token ids."""


class GateError(StillroomError):
    """A contract between two stages is broken; no further device-hour is spent."""

    exit_code = 3


class StageError(StillroomError):
    """A stage's process ended badly."""

    exit_code = 4


class ServeError(StageError):
    """The serving engine did not start, answer or stop."""


class PublishError(StillroomError):
    """An artifact could not be written."""

    exit_code = 5


class LedgerError(StillroomError):
    """The ledger could not be written or read."""

    exit_code = 6


class BudgetError(LedgerError):
    """The spend would pass a budget."""


class BusyError(StillroomError):
    """Another build, server or process holds what is needed."""

    exit_code = 7


KINDS: dict[str, type[StillroomError]] = {
    kind.__name__: kind
    for kind in (
        StillroomError, RecipeError, InputError, LicenceError, FitError, TokenizerMismatch, GateError,
        StageError, ServeError, PublishError, LedgerError, BudgetError, BusyError,
    )
}  # fmt: skip


def from_data(told: Mapping[str, str | None]) -> StillroomError:
    """The error that ``as_data`` told of; of an unknown kind it is a StageError."""
    kind = KINDS.get(told["kind"] or "", StageError)
    return kind(told["subject"] or "", told["fact"] or "", got=told["got"], hint=told["hint"] or "")
