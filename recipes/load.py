"""Loading recipes: YAML, a scale overlay, ``--set`` overrides, validation with every fault at once."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ValidationError

from contracts.errors import InputError, RecipeError
from recipes import yaml_text
from recipes.faults import faults_of, is_table, section_of

if TYPE_CHECKING:
    from recipes.schema import Recipe

FOLDER = Path(__file__).parent
HINTS = {
    "learning_rate": "1e-4 to 5e-4 is usual for LoRA, a tenth of it for full fine-tuning, 5e-6 to 5e-5 for DPO",
    "top_k": "16 to 64 is usual; the tail bucket carries the rest of the mass",
    "replay_share": "0.05 for a weak shift of domain, 0.25 for a strong one",
    "near_duplicate_jaccard": "0.7 to 0.9 is usual; lower joins templates",
}


def verticals() -> list[str]:
    """Verticals that have a recipe."""
    return sorted(path.parent.name for path in FOLDER.glob("*/recipe.yaml"))


def scales() -> list[str]:
    """The scale overlays."""
    return sorted(path.stem for path in (FOLDER / "scales").glob("*.yaml"))


def load(vertical: str, scale: str = "local", overrides: tuple[str, ...] = ()) -> Recipe:
    """The recipe of a vertical at a scale, with ``section.key=value`` overrides.

    Raises RecipeError with every fault found (misspelt keys with a suggestion, ranges, pairs that exclude each other).
    """
    path = FOLDER / vertical / "recipe.yaml"
    if not path.is_file():
        raise InputError("vertical", "has no recipe", got=repr(vertical), hint=f"one of: {', '.join(verticals())}")
    if scale not in scales():
        raise InputError("scale", "is not known", got=repr(scale), hint=f"one of: {', '.join(scales())}")
    data = _read(path)
    for overlay, changes in _overlays(vertical, scale):
        _refuse_meaning(changes, overlay)
        data = _merged(data, changes)
    for override in overrides:
        data = _merged(data, _parsed(override))
    return validate(data | {"scale": scale}, str(path.relative_to(FOLDER.parent)))


def _overlays(vertical: str, scale: str) -> list[tuple[Path, dict[str, Any]]]:
    """A scale's overlays as they are laid on: those of the scale it ``extends``, its own, the vertical's."""
    place = FOLDER / "scales" / f"{scale}.yaml"
    changes = _read(place)
    extended = changes.pop("extends", None)
    if extended is not None and (extended not in scales() or extended == scale):
        hint = f"one of: {', '.join(one for one in scales() if one != scale)}"
        raise RecipeError(f"scales/{scale}.yaml: extends", "must name another scale", got=repr(extended), hint=hint)
    own = FOLDER / vertical / f"{scale}.yaml"
    below = _overlays(vertical, str(extended)) if extended else []
    return [*below, (place, changes), *([(own, _read(own))] if own.is_file() else [])]


def validate(data: dict[str, Any], subject: str) -> Recipe:
    """A recipe from plain data; ``subject`` names it in errors."""
    # Here: the schema takes a tenth of a second, and every command asks this module for the names of the verticals.
    from recipes.constraints import conflicts
    from recipes.schema import Recipe

    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        faults = faults_of(subject, error, Recipe, "see recipes/schema.py for ranges and units", HINTS)
        raise RecipeError(subject, f"{len(faults)} faults", faults=faults) from None
    broken = [RecipeError(f"{subject}: {key}", fact, got=got, hint=hint) for key, fact, got, hint in conflicts(recipe)]
    if broken:
        raise RecipeError(subject, f"{len(broken)} settings exclude each other", faults=broken)
    return recipe


def _read(path: Path) -> dict[str, Any]:
    subject = str(path.relative_to(FOLDER.parent))
    try:
        data = yaml_text.read(path)
    except yaml_text.NotYaml as error:
        raise RecipeError(subject, "is not YAML", got=error, hint="mend the line") from None
    if data is not None and not isinstance(data, dict):
        raise RecipeError(subject, "must be a mapping of keys", got=type(data).__name__, hint="see recipes/schema.py")
    return data or {}


def _parsed(override: str) -> dict[str, Any]:
    key, equals, value = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise InputError("--set", "must be section.key=value", got=repr(override), hint="e.g. sft.max_tokens=20000")
    nested: Any = _value(override, value.strip())
    for part in reversed(parts):
        nested = {part: nested}
    return dict(nested)


def _value(override: str, text: str) -> Any:
    """A value as YAML reads it, but for ``1e-4`` and days, which it takes for text and for dates."""
    if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)e[-+]?\d+", text, re.IGNORECASE):
        return float(text)
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        hint = "quote it for the shell and for YAML, e.g. --set 'sft.lora.target_modules=[q_proj, v_proj]'"
        raise InputError("--set", "has a value that is no YAML", got=repr(override), hint=hint) from None
    return text if isinstance(value, date) else value


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _refuse_meaning(changes: dict[str, Any], overlay: Path) -> None:
    """A scale changes sizes and models, never the meaning: every key it sets must be a ``sized()`` field."""
    from recipes.schema import Recipe

    wrong = [key for key, allowed in _leaves(changes, Recipe) if not allowed]
    if wrong:
        subject = str(overlay.relative_to(FOLDER.parent))
        faults = [
            RecipeError(f"{subject}: {key}", "is no size or model", hint="put it into the vertical's recipe.yaml")
            for key in wrong
        ]
        raise RecipeError(subject, "a scale may change sizes only", faults=faults)


def _leaves(changes: dict[str, Any], model: type[BaseModel], path: str = "") -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    for key, value in changes.items():
        here = f"{path}.{key}" if path else key
        field = model.model_fields.get(key)
        if field is None:
            continue  # validation names it with a suggestion
        inner = section_of(field.annotation)
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("sized"):
            found.append((here, True))
        elif inner is not None and isinstance(value, dict):
            children = value.items() if is_table(field.annotation) else [("", value)]
            for name, child in children:
                found += _leaves(child, inner, f"{here}.{name}" if name else here)
        else:
            found.append((here, False))
    return found
