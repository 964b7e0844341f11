"""What every section of a recipe is: a frozen model that says what a scale may change and what is no identity."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

Share = Annotated[float, Field(ge=0, le=1)]
SIZED: JsonDict = {"sized": True}
NOT_IDENTITY: JsonDict = {"identity": False}


def sized(default: Any = ..., **bounds: Any) -> Any:
    """A field that a scale overlay may change."""
    return Field(default, json_schema_extra=SIZED, **bounds)


def not_identity(default: Any = ..., **bounds: Any) -> Any:
    """A field that changes how a stage runs, not what it makes."""
    return Field(default, json_schema_extra=NOT_IDENTITY, **bounds)


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused, validators never change a value."""

    model_config = ConfigDict(frozen=True, extra="forbid")
