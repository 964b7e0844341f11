"""Settings that exclude each other, each with the way out. Found when the recipe loads, before a device is touched."""

from __future__ import annotations

from collections.abc import Iterator

from recipes.catalogue import models
from recipes.schema import Recipe

SERVEABLE_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""LoRA ranks that vLLM's ``--max-lora-rank`` takes."""
Conflict = tuple[str, str, object, str]
"""Key, fact, value seen, hint."""


def conflicts(recipe: Recipe) -> list[Conflict]:
    """Every pair of settings that cannot hold together."""
    return [*_models(recipe), *_training(recipe), *_serving(recipe)]


def _models(recipe: Recipe) -> Iterator[Conflict]:
    known = models()
    named = {f"selection.candidates.{i}": name for i, name in enumerate(recipe.selection.candidates)}
    named |= {f"students.{name}.model": s.model for name, s in recipe.students.items() if s.model}
    named |= {"residual.base": recipe.residual.base} if recipe.residual.base else {}
    for key, name in named.items():
        if name not in known:
            yield key, "is not in recipes/models.yaml", name, f"one of: {', '.join(sorted(known))}"
    teachers = [known[name].family for name in recipe.selection.candidates if name in known]
    for name, student in recipe.students.items():
        row = known.get(student.model)
        if student.loss == "top_k" and row is not None and row.family not in teachers:
            hint = "set loss: sequence (distil by text), or take a student of the teacher's family"
            yield f"students.{name}.loss", "top_k needs the teacher's token ids", row.family, hint


def _training(recipe: Recipe) -> Iterator[Conflict]:
    for name, lora in (("sft", recipe.sft.lora), ("dpo", recipe.dpo.lora)):
        if lora.rank > max(SERVEABLE_RANKS):
            yield f"{name}.lora.rank", f"vLLM serves ranks up to {max(SERVEABLE_RANKS)}", lora.rank, "lower the rank"
        if "lm_head" in lora.target_modules:
            hint = "leave lm_head out, or use method: full"
            yield f"{name}.lora.target_modules", "vLLM refuses adapters on lm_head", "lm_head", hint
    if recipe.tokenise.pack_tokens < recipe.tokenise.max_tokens and recipe.cpt.enabled:
        hint = "set tokenise.pack_tokens to at least tokenise.max_tokens"
        yield "tokenise.pack_tokens", "is below tokenise.max_tokens", recipe.tokenise.pack_tokens, hint
    if recipe.cpt.enabled and recipe.cpt.replay_share > 0 and not _has(recipe, "replay"):
        hint = "add a source with use: replay, or set cpt.replay_share: 0"
        yield "cpt.replay_share", "there is no source to replay", recipe.cpt.replay_share, hint
    if recipe.cpt.enabled and not _has(recipe, "pretraining"):
        hint = "add a source with use: pretraining, or set cpt.enabled: false"
        yield "cpt.enabled", "there is no source to pretrain on", True, hint


def _serving(recipe: Recipe) -> Iterator[Conflict]:
    need = recipe.serving.input_tokens + recipe.serving.output_tokens
    if need > recipe.serving.max_model_len:
        hint = f"raise serving.max_model_len to {need} or shorten the workload"
        yield "serving.max_model_len", "is shorter than a request", recipe.serving.max_model_len, hint
    need = recipe.tokenise.max_tokens
    if need > recipe.serving.max_model_len:
        hint = f"raise serving.max_model_len to {need}: the model is trained on prompts of that length"
        yield "serving.max_model_len", "is shorter than tokenise.max_tokens", recipe.serving.max_model_len, hint


def _has(recipe: Recipe, use: str) -> bool:
    return any(source.use == use for source in recipe.sources.values())
