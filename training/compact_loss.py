"""The next-token loss with the language-model head applied to the labelled positions only.

Most positions of a prompt-and-answer sequence carry no label, and the head of a small model with a large vocabulary is
a third of its work. TRL's fused head leaves those positions out on Triton devices only; on a CPU this is the way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from transformers import PreTrainedModel
from trl import SFTTrainer

from training.device import device_in_use

IGNORED = -100
SCALED_HEADS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier")
"""Config fields of models whose logits are more than the head's product; they keep the trainer's own loss."""


def labelled_logits(
    model: PreTrainedModel, inputs: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Run the model; returns ``logits_N_V`` at the N labelled positions, their ``targets_N`` and ``mask_B_T1``.

    ``inputs`` holds ``input_ids_B_T``, ``labels_B_T`` and what the backbone takes (attention mask or position ids).
    ``mask_B_T1`` says which of the T - 1 predicting positions are labelled.
    """
    backbone_inputs = {name: value for name, value in inputs.items() if name not in ("labels", "use_cache")}
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    targets_B_T1 = inputs["labels"][:, 1:]
    mask_B_T1 = targets_B_T1 != IGNORED
    with device_in_use().autocast():  # accelerate's own goes around the model's forward, which is not called here
        hidden_B_T_H = causal.base_model(**backbone_inputs, use_cache=False).last_hidden_state
        logits_N_V = causal.get_output_embeddings()(hidden_B_T_H[:, :-1][mask_B_T1])
    return logits_N_V, targets_B_T1[mask_B_T1], mask_B_T1


def compact_loss(
    model: PreTrainedModel, inputs: dict[str, torch.Tensor], tokens: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Cross-entropy summed over labelled positions and divided by ``tokens`` (default: their number), a scalar."""
    logits_N_V, targets_N, _ = labelled_logits(model, inputs)
    total = functional.cross_entropy(logits_N_V.float(), targets_N, reduction="sum")
    count = torch.as_tensor(targets_N.numel() if tokens is None else tokens, device=total.device)
    return total / count.clamp(min=1)


class CompactSftTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer; on a CPU its loss is ``compact_loss``, elsewhere TRL's own fused head does the same."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """The loss of a batch; ``num_items_in_batch`` counts the labelled tokens of the whole accumulated step."""
        plain = self.accelerator.unwrap_model(model)
        scaled = any(getattr(plain.config, name, None) not in (None, 1.0) for name in SCALED_HEADS)
        if return_outputs or scaled or inputs["input_ids"].device.type != "cpu":
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return compact_loss(plain, inputs, num_items_in_batch)
