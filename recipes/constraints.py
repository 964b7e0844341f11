"""Settings that exclude each other, each with the way out. Found when the recipe loads, before a device is touched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from urllib.parse import urlsplit

from contracts.tokenizers import SHARED
from recipes.catalogue import models, served_architectures, stated_verdict
from recipes.catalogue_rows import PublicModel
from recipes.schema import Recipe
from recipes.text_rules import quality_rules

SERVEABLE_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""LoRA ranks that vLLM's ``--max-lora-rank`` takes."""
Conflict = tuple[str, str, object, str]
"""Key, fact, value seen, hint."""


def conflicts(recipe: Recipe) -> list[Conflict]:
    """Every pair of settings that cannot hold together."""
    return [
        *_models(recipe),
        *_siblings(recipe),
        *_shared_ids(recipe),
        *_training(recipe),
        *_teacher(recipe),
        *_serving(recipe),
        *_text_rules(recipe),
    ]


def _text_rules(recipe: Recipe) -> Iterator[Conflict]:
    """Names of quality rules and families that no catalogue has."""
    rules = quality_rules(recipe.vertical)
    families = {rule.family for rule in rules.values()}
    chosen = {"curation.quality_families": recipe.curation.quality_families}
    chosen |= {f"sources.{name}.quality_families": one.quality_families or () for name, one in recipe.sources.items()}
    for key, names in chosen.items():
        for name in names:
            if name not in families:
                yield key, "is no family of recipes/quality_rules.yaml", name, f"one of: {', '.join(sorted(families))}"
    thresholds = {"curation.quality": recipe.curation.quality}
    thresholds |= {f"sources.{name}.quality": one.quality for name, one in recipe.sources.items()}
    for key, named in thresholds.items():
        for name in named:
            if name not in rules:
                near = get_close_matches(name, rules, 3) or sorted(rules)
                yield f"{key}.{name}", "is no rule of recipes/quality_rules.yaml", None, f"one of: {', '.join(near)}"


def _models(recipe: Recipe) -> Iterator[Conflict]:
    known = models()
    named = {f"selection.candidates.{i}": name for i, name in enumerate(recipe.selection.candidates)}
    named |= {f"students.{name}.model": s.model for name, s in recipe.students.items() if s.model}
    named |= {"residual.base": recipe.residual.base} if recipe.residual.base else {}
    for key, name in named.items():
        if name not in known:
            yield key, "is not in recipes/models.yaml", name, f"one of: {', '.join(sorted(known))}"


def _siblings(recipe: Recipe) -> Iterator[Conflict]:
    """What a student's own starting model must be: released with the build, and served."""
    allowed = recipe.selection.licences
    version, served = served_architectures()
    for name, row in _starts(recipe).items():
        key = f"students.{name}.model"
        if row.licence not in allowed:
            hint = f"take a student under one of {', '.join(allowed)}, or add the licence to selection.licences"
            yield key, "has a licence that selection.licences does not allow", row.licence, hint
        if row.architecture and row.architecture not in served:
            hint = "take a student of an architecture in recipes/vllm_architectures.json"
            yield key, f"vLLM {version} does not serve its architecture", row.architecture, hint


def _shared_ids(recipe: Recipe) -> Iterator[Conflict]:
    """Loss top_k wants a candidate that shares token ids with its student, as far as the catalogue states it."""
    known = models()
    named = {name: known[name] for name in recipe.selection.candidates if name in known}
    admitted = {name: row for name, row in named.items() if row.licence in recipe.selection.licences}
    starts = {name: row for name, row in _starts(recipe).items() if recipe.students[name].loss == "top_k"}
    sharing = {
        name: {one for one, teacher in admitted.items() if stated_verdict(teacher, row) in SHARED}
        for name, row in starts.items()
    }
    for name, teachers in sharing.items():
        if not teachers and admitted:
            families = ", ".join(sorted({row.family for row in admitted.values()}))
            hint = (
                f"set loss: sequence or auto (distil by text), or take a student of the teacher's family ({families})"
            )
            yield f"students.{name}.loss", "top_k needs the teacher's token ids", starts[name].family, hint
    if sharing and all(sharing.values()) and not set.intersection(*sharing.values()):
        families = ", ".join(f"{name}: {row.family}" for name, row in starts.items())
        hint = "set loss: sequence or auto for one of them, or take students of one family"
        yield "students", "no candidate shares token ids with every student of loss top_k", families, hint


def _starts(recipe: Recipe) -> dict[str, PublicModel]:
    """Students that start from a model of the catalogue."""
    known = models()
    return {name: known[one.model] for name, one in recipe.students.items() if one.model in known}


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


def _teacher(recipe: Recipe) -> Iterator[Conflict]:
    """A teacher behind an API: a key by name only, an address without secrets, and students that learn from text."""
    capture = recipe.capture
    if capture.api_key_env and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", capture.api_key_env):
        seen = f"{len(capture.api_key_env)} characters"  # not shown: it may be the key itself
        hint = "give the variable's name, e.g. TEACHER_API_KEY, and export the key under it"
        yield "capture.api_key_env", "must be the name of an environment variable", seen, hint
    if not capture.endpoint:
        if capture.api_key_env or capture.endpoint_model:
            hint = "name the server in capture.endpoint, or leave api_key_env and endpoint_model out"
            yield "capture.endpoint", "must be given where its key or its model is", "nothing", hint
        return
    if not _plain_address(capture.endpoint):
        seen = "one with a password or a query" if re.search("[@?]", capture.endpoint) else capture.endpoint
        hint = "e.g. https://teacher.example/v1; a key goes into the variable that capture.api_key_env names"
        yield "capture.endpoint", "must be the plain address of a server, up to and with /v1", seen, hint
    if not capture.teacher_prompts:
        yield "capture.teacher_prompts", "must be > 0 with an endpoint", 0, "or leave capture.endpoint out"
    for name in [name for name, student in recipe.students.items() if student.loss == "top_k"]:
        hint = "set loss: auto or sequence, or leave capture.endpoint out to learn from the built teacher"
        fact = "needs the teacher's probabilities, and an API (capture.endpoint) gives text only"
        yield f"students.{name}.loss", fact, "top_k", hint


def _plain_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        return False
    return usable and not re.search(r"[@?#\s]", url)


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
