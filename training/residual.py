"""Stage residual: what instruction tuning taught, given back to a continued base: model + scale * (instruct - base).

Tensor by tensor over safetensors files, in row blocks and in float64: no model is ever whole in memory, and
``base + (instruct - base)`` is ``instruct`` again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from contracts.artifacts import Artifact, describe
from contracts.errors import FitError, InputError
from contracts.stage import progress, stage_main
from contracts.usage import Usage
from recipes.training_sections import Residual

CODE_VERSION = "1"
SHARD_BYTES = 2 << 30
BLOCK_ELEMENTS = 1 << 24
"""Elements computed at once: 128 MiB a float64 copy."""
CARRIED = (".json", ".jinja", ".txt", ".model")
"""Configuration, tokenizer, template and golden ids."""
INDEX = "model.safetensors.index.json"


class Weights:
    """The tensors of a model folder, read one by one; ``shapes`` are known without reading any."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Any] = {}
        self.place: dict[str, str] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for file in sorted(folder.glob("*.safetensors")):
            self.files[file.name] = safe_open(file, framework="pt")
            for name in self.files[file.name].keys():  # noqa: SIM118 - not a mapping
                self.place[name] = file.name
                self.shapes[name] = tuple(self.files[file.name].get_slice(name).get_shape())
        if not self.place:
            raise InputError(str(folder), "holds no safetensors", hint="is this the folder of a published model?")

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor, from disk."""
        found: torch.Tensor = self.files[self.place[name]].get_tensor(name)
        return found


def residual(section: Residual, inputs: dict[str, Artifact], out_dir: Path) -> tuple[Artifact, Usage]:
    """``model`` plus the scaled difference of ``instruct`` and ``base``; configuration and tokenizer of ``instruct``.

    Where ``instruct`` is ``base`` itself, or the scale is 0, there is nothing to add: the weights go through as they
    are and the metric ``identity`` says so. Raises FitError, naming the tensor, where the three do not match.
    """
    model, base, instruct = (inputs[name].path for name in ("model", "base", "instruct"))
    identity = section.scale == 0 or _same_weights(inputs["base"], inputs["instruct"])
    shift = 0.0
    if identity:
        for file in sorted(model.glob("*.safetensors")) + sorted(model.glob(INDEX)):
            shutil.copyfile(file, out_dir / file.name)
    else:
        shift = _add(Weights(model), Weights(base), Weights(instruct), section.scale, out_dir)
    for file in sorted(instruct.iterdir()):
        if file.suffix in CARRIED and file.name not in ("artifact.json", INDEX):
            shutil.copyfile(file, out_dir / file.name)
    sizes = {name: inputs["model"].metrics.get(name) for name in ("layers", "hidden", "vocab", "parameters")}
    metrics = {**sizes, "identity": identity, "scale": section.scale, "mean_absolute_shift": shift}
    return describe(out_dir, "model", metrics), Usage()


def require_same_tensors(model: Weights, base: Weights, instruct: Weights) -> None:
    """Raise FitError at the first tensor that one of the three lacks or has in another shape."""
    for role, other in (("base", base), ("instruct", instruct)):
        for name in sorted(model.shapes.keys() ^ other.shapes.keys()):
            lacks = role if name in model.shapes else "model"
            raise FitError(
                f"residual: tensor {name}",
                f"is missing in {lacks}",
                hint="residual.base must be the very model that instruct was tuned from",
            )
        for name, shape in model.shapes.items():
            if shape != other.shapes[name]:
                raise FitError(
                    f"residual: tensor {name}",
                    f"must have the model's shape {list(shape)} in {role}",
                    got=list(other.shapes[name]),
                    hint="the vocabularies or sizes differ; residual.base must be what instruct was tuned from",
                )


def add_scaled(model: torch.Tensor, base: torch.Tensor, instruct: torch.Tensor, scale: float) -> torch.Tensor:
    """``model + scale * (instruct - base)``, rounded once, to the model's dtype. Integer tensors stay the model's."""
    if not model.is_floating_point():
        return model
    result = torch.empty_like(model)
    flat = (result.view(-1), model.reshape(-1), base.reshape(-1), instruct.reshape(-1))
    for target, own, old, new in zip(*(one.split(BLOCK_ELEMENTS) for one in flat), strict=True):
        target.copy_(own.double() + scale * (new.double() - old.double()))
    return result


def _add(model: Weights, base: Weights, instruct: Weights, scale: float, out_dir: Path) -> float:
    """Write the sum's shards; returns the mean absolute change of a parameter."""
    require_same_tensors(model, base, instruct)
    shards = list(_shards(model))
    place: dict[str, str] = {}
    changed, elements, done, size = 0.0, 0, 0, 0
    for number, names in enumerate(shards, start=1):
        file = "model.safetensors" if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        written: dict[str, torch.Tensor] = {}
        for name in names:
            own = model.tensor(name)
            written[name] = add_scaled(own, base.tensor(name), instruct.tensor(name), scale)
            changed += float((written[name] - own).abs().sum(dtype=torch.float64))
            elements += own.numel()
            size += own.numel() * own.element_size()
            done += 1
            progress(done, len(model.shapes), "adding the instruction residual")
        save_file(written, out_dir / file, metadata={"format": "pt"})
        place |= dict.fromkeys(names, file)
    if len(shards) > 1:
        index = {"metadata": {"total_size": size}, "weight_map": place}
        (out_dir / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True), encoding="utf-8")
    return changed / elements


def _shards(model: Weights) -> Iterator[list[str]]:
    """Tensor names in groups of at most SHARD_BYTES (or one tensor), at four bytes an element."""
    names: list[str] = []
    size = 0
    for name, shape in model.shapes.items():
        tensor_bytes = 4 * int(torch.Size(shape).numel())
        if names and size + tensor_bytes > SHARD_BYTES:
            yield names
            names, size = [], 0
        names.append(name)
        size += tensor_bytes
    yield names


def _same_weights(base: Artifact, instruct: Artifact) -> bool:
    def weights(artifact: Artifact) -> dict[str, str]:
        return {name: sha for name, sha in artifact.files.items() if name.endswith(".safetensors")}

    return base.path == instruct.path or (bool(weights(base)) and weights(base) == weights(instruct))


if __name__ == "__main__":
    stage_main(residual, Residual)
