"""What each stage of the chain computes, from the recipe alone: operations, tokens written, what it holds in memory."""

from __future__ import annotations

from dataclasses import dataclass

from recipes.catalogue import models
from recipes.memory import CAPTURED_LOGIT_BYTES, PASS_TOKENS, Batch, Method
from recipes.schema import Recipe
from recipes.shapes import Shape, shape
from recipes.speed import ONE, QLORA_SPEED, Band, training_flops
from recipes.training_sections import Optimiser, Student

CHARS_PER_TOKEN = 4.0
FILL = 0.6
"""Of ``tokenise.max_tokens``, what an example has on average. Finance at scale local: pairs 0.67, prompts 0.55."""
ANSWER_SHARE, UNTUNED_SHARE = 0.4, 0.95
"""Of ``max_new_tokens``, what an answer uses; an untuned model rarely stops. There: 0.33 to 0.52, and 0.94."""
UNTUNED = ("base", "cpt")
LABELLED_SHARE = 0.5
"""Of the positions of a prompt and its answer, those with a label; 0.05 to 0.32 there."""
ZERO_SHOT_TOKENS, ZERO_SHOT_BATCH = 200, 8
PROBE_TOKENS = 48
ENGINE_START: Band = (45.0, 70.0, 180.0)
"""Seconds until vLLM answers."""
PROCESS_START: Band = (3.0, 5.0, 20.0)
DISK_BYTES_PER_SECOND: Band = (2e9, 1e9, 3e8)


@dataclass(frozen=True)
class Writing:
    """Tokens decoded in all, so many sequences at a time."""

    tokens: float
    sequences: float


@dataclass(frozen=True)
class Training:
    """How a training stage fills a device's memory. ``section`` is where the recipe says so."""

    section: str
    method: Method
    rank: int
    batch: Batch
    length_key: str
    """The recipe's key of the longest sequence."""
    shortest: int = 512
    """Below it that key makes no sense."""
    joined: int = 1
    """Sequences in a row: two in a pair."""


@dataclass(frozen=True)
class Answering:
    """The same for a stage that only computes forwards. ``key``: the recipe's for the sequences at once, if any."""

    sequences: int
    tokens: int
    key: str = ""


@dataclass(frozen=True)
class Work:
    """One stage's work. ``files`` counts how often the weights cross the disk, ``waits`` seconds no device shortens."""

    model: Shape
    flops: float
    holds: Training | Answering
    writings: tuple[Writing, ...] = ()
    context: float = 0.0
    """Tokens behind a sequence while it is written."""
    speed: Band = ONE
    waits: Band = PROCESS_START
    files: float = 1.0


def work(recipe: Recipe, stage: str, on_gpu: bool, base: str = "") -> Work | None:
    """The work of a stage that holds a device, else None. ``base``: the model chosen, else the first candidate."""
    kind, _, which = stage.partition(":")
    model = model_of(recipe, base or recipe.selection.candidates[0], which)
    student = recipe.students.get(which)
    match kind:
        case "cpt" | "sft" | "dpo":
            return _trained(recipe, kind, model, on_gpu)
        case "student" if student is not None:
            return _student(recipe, student, model, on_gpu)
        case "sample" | "teacher" | "evaluate" | "select" | "merge":
            return _answers(recipe, kind, model, UNTUNED_SHARE if which in UNTUNED else ANSWER_SHARE)
        case "capture":
            return Work(model, 2 * model.matmul * distilled_tokens(recipe), _forward(recipe, on_gpu))
        case "prune":
            held = Answering(recipe.prune.examples, recipe.prune.max_tokens)
            return Work(model, _prune_flops(recipe, model), held)
        case "serve":
            return _served(recipe, model)
        case _:
            return None


def distilled_tokens(recipe: Recipe) -> float:
    """Tokens that the teacher's probabilities are captured on."""
    if recipe.writer.for_students:
        return recipe.capture.max_tokens
    return min(recipe.capture.max_tokens, recipe.sft.max_tokens / max(1.0, recipe.sft.optimiser.epochs))


def api_tokens(recipe: Recipe) -> tuple[float, float]:
    """Tokens that a teacher behind an API reads and writes."""
    asked = recipe.capture.teacher_prompts
    written = asked * recipe.evaluation.answering.max_new_tokens * ANSWER_SHARE
    return asked * recipe.tokenise.max_tokens * FILL, written


def model_of(recipe: Recipe, base: str, which: str) -> Shape:
    """The model a stage works with: a student's, where ``which`` names one, else the base's."""
    student = recipe.students.get(which)
    if student is not None and student.model:
        return shape(models()[student.model])
    whole = shape(models()[base])
    return whole if student is None else whole.with_layers(student.layers)


def _batch(tokens: int, optimiser: Optimiser, on_gpu: bool, labelled: float, logit_bytes: int = 10) -> Batch:
    """As the trainers fill a pass: whole sequences up to the device's tokens, no more than a step has."""
    room = optimiser.pass_tokens or PASS_TOKENS["cuda" if on_gpu else "cpu"]
    sequences = max(1, min(room, optimiser.batch_tokens) // tokens)
    return Batch(tokens, sequences, recompute=on_gpu, labelled_share=labelled, logit_bytes=logit_bytes)


def _seen(tokens: float, optimiser: Optimiser) -> float:
    """Tokens trained on: a limit of steps may end it first."""
    return min(tokens, optimiser.max_steps * optimiser.batch_tokens) if optimiser.max_steps else tokens


def _trained(recipe: Recipe, kind: str, model: Shape, on_gpu: bool) -> Work:
    longest, key = recipe.tokenise.max_tokens, "tokenise.max_tokens"
    if kind == "cpt":
        longest, key = recipe.tokenise.pack_tokens, "tokenise.pack_tokens"
        batch = _batch(longest, recipe.cpt.optimiser, on_gpu, 1.0)
        held = Training("cpt", recipe.cpt.method, 16, batch, key, shortest=recipe.tokenise.max_tokens)
        scored = 2 * 2 * model.matmul * recipe.cpt.held_out_tokens  # before and after
        return _training(model, held, _seen(recipe.cpt.max_tokens, recipe.cpt.optimiser), on_gpu, scored)
    if kind == "sft":
        batch = _batch(longest, recipe.sft.optimiser, on_gpu, LABELLED_SHARE)
        held = Training("sft", recipe.sft.method, recipe.sft.lora.rank, batch, key)
        return _training(model, held, _seen(recipe.sft.max_tokens, recipe.sft.optimiser), on_gpu)
    batch = _batch(2 * longest, recipe.dpo.optimiser, on_gpu, LABELLED_SHARE)
    pairs = recipe.dpo.max_pairs * 2 * longest * FILL
    reference = 2 * model.matmul * pairs  # computed once, whatever the epochs
    held = Training("dpo", "lora", recipe.dpo.lora.rank, batch, key, joined=2)
    return _training(model, held, _seen(pairs * recipe.dpo.optimiser.epochs, recipe.dpo.optimiser), on_gpu, reference)


def _student(recipe: Recipe, student: Student, model: Shape, on_gpu: bool) -> Work:
    tokens = min(student.max_tokens, distilled_tokens(recipe) * student.optimiser.epochs)
    tokens = _seen(tokens, student.optimiser)
    longest = recipe.tokenise.max_tokens
    batch = _batch(longest, student.optimiser, on_gpu, LABELLED_SHARE, CAPTURED_LOGIT_BYTES)
    name = next(name for name, one in recipe.students.items() if one is student)
    return _training(model, Training(f"students.{name}", "full", 0, batch, "tokenise.max_tokens"), tokens, on_gpu)


def _training(model: Shape, held: Training, tokens: float, on_gpu: bool, beside: float = 0.0) -> Work:
    batch = held.batch
    flops = training_flops(
        model, held.method, held.rank, tokens, batch.tokens, batch.recompute, labelled_share=batch.labelled_share
    )
    slowed = held.method == "qlora" and on_gpu  # on a CPU no difference from LoRA was measured
    return Work(model, flops + beside, held, speed=QLORA_SPEED if slowed else ONE, files=2.0)


def _answers(recipe: Recipe, kind: str, model: Shape, share: float) -> Work:
    """Prompts read and answers written by the local engine; evaluation also chooses letters, selection also reads."""
    vertical = sum(task.suite == "vertical" for task in recipe.tasks.values())
    asked = {
        "sample": recipe.dpo.samples,
        "teacher": recipe.capture.teacher_prompts,
        "evaluate": recipe.curation.max_eval * vertical,
        "select": recipe.selection.zero_shot_items,
        "merge": recipe.merge.probe_prompts,
    }[kind]
    new = recipe.evaluation.answering.max_new_tokens * share
    at_once, files = recipe.evaluation.answering.batch_size, 1.0
    read = asked * recipe.tokenise.max_tokens * FILL
    if kind == "evaluate":
        read += recipe.evaluation.general_items * recipe.tokenise.max_tokens * FILL
    elif kind == "select":
        new, at_once = ZERO_SHOT_TOKENS, ZERO_SHOT_BATCH
        read += recipe.selection.held_out_chars / CHARS_PER_TOKEN
    elif kind == "merge":
        new, at_once, files = PROBE_TOKENS, 1, 4.0  # two models are read, the merged one is written and read
        read *= 3
    key = "" if kind in ("select", "merge") else "evaluation.answering.batch_size"
    held = Answering(min(at_once, max(1, asked)), recipe.tokenise.max_tokens + round(new), key)
    writing = Writing(asked * new, held.sequences)
    return Work(model, 2 * model.matmul * read, held, (writing,), recipe.tokenise.max_tokens * FILL, files=files)


def _forward(recipe: Recipe, on_gpu: bool) -> Answering:
    longest = recipe.tokenise.max_tokens
    return Answering(max(1, PASS_TOKENS["cuda" if on_gpu else "cpu"] // longest), longest)


def _prune_flops(recipe: Recipe, model: Shape) -> float:
    """Each round leaves every layer out in turn; the layers before it are not computed again: half a model each."""
    fewest = min((one.layers for one in recipe.students.values() if one.layers), default=0)
    candidates = sum(range(model.layers, fewest, -recipe.prune.layers_per_round)) if fewest else 0
    tokens = recipe.prune.examples * recipe.prune.max_tokens
    layers = (model.matmul - model.head) * (1 + fewest / model.layers) / 2
    return candidates * tokens * (layers + 2 * model.head)


def _served(recipe: Recipe, model: Shape) -> Work:
    """Cells at a fixed number of streams run as fast as they can; cells at a rate take the time of their requests."""
    serving = recipe.serving
    each = serving.requests_per_cell * serving.repeats
    arriving = sum(each / rate for rate in serving.request_rates)
    requests = each * (len(serving.concurrency) + len(serving.request_rates))
    waits = (ENGINE_START[0] + arriving, ENGINE_START[1] + arriving, ENGINE_START[2] + arriving)
    writings = tuple(Writing(each * serving.output_tokens, streams) for streams in serving.concurrency)
    held = Answering(1, serving.max_model_len)  # the engine queues what does not fit beside it
    flops = 2 * model.matmul * requests * serving.input_tokens
    return Work(model, flops, held, writings, float(serving.input_tokens), waits=waits)
