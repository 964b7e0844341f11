"""The recipe's sections on how models are made: trained, merged, asked, pruned and distilled."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from recipes.section import NOT_IDENTITY, SIZED, Section, Share, not_identity, sized


class Optimiser(Section):
    """What every trainer shares."""

    learning_rate: float = sized(gt=0, le=1)
    """Goes with the model: a small one wants more."""
    epochs: float = sized(1.0, gt=0)
    max_steps: int = sized(0, ge=0)
    """0: by epochs."""
    batch_tokens: int = sized(8_192, ge=64)
    """Tokens an optimiser step, reached by accumulation."""
    pass_tokens: int = Field(0, ge=0, json_schema_extra={**SIZED, **NOT_IDENTITY})
    """Padded tokens a device takes in one pass; 0: 16,384 on an accelerator, 2,048 on a CPU. At least one sequence."""
    warmup_share: Share = 0.05
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    checkpoint_every_steps: int = Field(50, ge=1, json_schema_extra={**SIZED, **NOT_IDENTITY})
    seed: int = 7


class Lora(Section):
    """The adapter's shape; all linear layers unless named."""

    rank: int = Field(16, ge=1, le=512)
    alpha: int = Field(32, ge=1)
    dropout: Share = 0.0
    target_modules: tuple[str, ...] = ("all-linear",)


class Cpt(Section):
    """Continued pretraining with replay."""

    enabled: bool = True
    optimiser: Optimiser
    max_tokens: int = sized(1_000_000_000, ge=64)
    replay_share: Share = 0.05
    """Of the tokens, general text against forgetting: 5 % for a weak shift, 25 % for a strong one."""
    method: Literal["full", "lora"] = "full"
    held_out_tokens: int = sized(100_000, ge=64)


class Residual(Section):
    """Adds ``instruct - base`` to the continued base."""

    enabled: bool = True
    base: str = sized("")
    """The model without instruction tuning; empty: the chosen model has no such twin and the stage is an identity."""
    scale: float = Field(1.0, ge=0, le=2)


class Sft(Section):
    """Supervised fine-tuning on prompt and completion; the loss is on the completion."""

    optimiser: Optimiser
    method: Literal["qlora", "lora", "full"] = "qlora"
    lora: Lora = Lora()
    max_tokens: int = sized(1_000_000_000, ge=64)
    """Training tokens seen, over all epochs."""


class Dpo(Section):
    """Preference alignment; the reference is the SFT model."""

    enabled: bool = True
    optimiser: Optimiser
    beta: float = Field(0.1, gt=0)
    sft_weight: float = Field(0.2, ge=0)
    """The anchor against likelihood displacement."""
    lora: Lora = Lora()
    samples: int = sized(64, ge=0)
    """Prompts answered by the SFT model itself; its wrong answers become rejected ones."""
    temperature: float = Field(0.8, ge=0)
    max_pairs: int = sized(2_000, ge=1)
    written_share: float = sized(0.5, ge=0, le=1)
    """Of the pairs, at most, from the writer's wrong answers; the rest the model's own."""


class Merge(Section):
    """Merging on the base as stored, and the parity that must hold afterwards."""

    max_kl: float = sized(0.05, gt=0)
    """Mean KL (nats a token) from the adapter on the base as stored to the merged model, on the probe prompts."""
    max_quantised_kl: float = sized(0.25, gt=0)
    """The same from the adapter on the 4-bit base that QLoRA trained it on: what the rounding of the base makes."""
    probe_prompts: int = sized(8, ge=1)


class Answering(Section):
    """How a model is asked: by batches, in length order."""

    max_new_tokens: int = sized(256, ge=1)
    batch_size: int = not_identity(16, ge=1)
    temperature: float = Field(0.0, ge=0)
    samples: int = Field(1, ge=1)
    seed: int = 7


class Capture(Section):
    """The teacher's probabilities, once for all students."""

    top_k: int = Field(16, ge=1, le=128)
    max_tokens: int = sized(1_000_000_000, ge=64)
    teacher_prompts: int = sized(256, ge=0)
    """Training prompts answered by the teacher; gold answers carry the rest."""
    endpoint: str = not_identity("")
    """A teacher behind an OpenAI-protocol API instead of the built one: base URL up to ``/v1``. It gives text only."""
    endpoint_model: str = not_identity("")
    """Its name there; empty: the first that the server lists."""
    api_key_env: str = not_identity("")
    """The environment variable that holds its key; the key itself stands in no recipe."""


class Prune(Section):
    """How the layers that pruned students keep are found: each is left out in turn, the least missed goes."""

    examples: int = sized(2, ge=1)
    """Taught answers on which the loss is measured."""
    max_tokens: int = sized(448, ge=16)
    """Longest example measured with, prompt and answer."""
    layers_per_round: int = sized(1, ge=1)
    """Layers that go after one round of measuring: more is faster and coarser."""


class Student(Section):
    """A student: it keeps ``layers`` of the teacher's (stage prune finds which), or starts as the sibling ``model``."""

    stands_for: Literal["7B", "14B"]
    model: str = sized("")
    layers: int = sized(0, ge=0)
    loss: Literal["auto", "top_k", "sequence"] = "auto"
    optimiser: Optimiser
    max_tokens: int = sized(1_000_000_000, ge=64)
    distillation_weight: Share = 0.5
    """Weight of the teacher's distribution; the rest is cross-entropy on the answer."""

    @model_validator(mode="after")
    def _one_start(self) -> Student:
        if bool(self.model) == bool(self.layers):
            raise ValueError("give either model, or layers")
        return self
