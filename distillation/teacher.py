"""The teacher's forward pass: top-k log-probabilities at the answer's positions, and nothing else of the logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from contracts.errors import FitError, InputError
from contracts.precision import cpu_multiplies_bf16
from distillation.rendering import Rendered

SCALED_HEADS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier")
"""Config fields of models whose logits are more than the head's product; their capture would be wrong."""
HEAD_POSITIONS = 512
"""Positions sent through the head at once: 100 MB of fp32 logits for a vocabulary of 49k."""


@dataclass(frozen=True)
class TopK:
    """One example's capture: ``ids_T_K`` int32, ``logp_T_K`` fp16, ``mass_T`` fp32 share of probability kept."""

    ids_T_K: np.ndarray
    logp_T_K: np.ndarray
    mass_T: np.ndarray


class Teacher:
    """A causal model in eval mode with its tokenizer; it computes in bf16 wherever the device has units for that."""

    def __init__(self, path: Path) -> None:
        if not (path / "config.json").is_file():
            raise InputError(str(path), "has no config.json", hint="is this the folder of a published model?")
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        self.model: Any = AutoModelForCausalLM.from_pretrained(
            path,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.bfloat16 if self.device == "cuda" or cpu_multiplies_bf16() else torch.float32,
        )
        self.model.to(self.device).eval()
        for field in SCALED_HEADS:
            if getattr(self.model.config, field, None) not in (None, 1.0):
                raise FitError(
                    str(path),
                    f"probabilities of a model with {field} cannot be captured",
                    got=getattr(self.model.config, field),
                    hint="set loss: sequence for its students",
                )

    @property
    def context(self) -> int:
        """Most positions the model can take."""
        return int(getattr(self.model.config, "max_position_embeddings", 0) or 1 << 30)

    @property
    def device_name(self) -> str:
        """What the ledger books: ``cpu``, or the accelerator's own name."""
        return "cpu" if self.device == "cpu" else str(torch.cuda.get_device_name())

    @property
    def vocabulary(self) -> int:
        """Rows of the head."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    def top_k(self, batch: Sequence[Rendered], k: int) -> list[TopK]:
        """Top-k of the teacher's next-token distribution at every supervised token of each example.

        Row t of an example is the distribution over token ``prompt_tokens + t``, given all before it.
        """
        longest = max(len(one.input_ids) for one in batch)
        ids_B_T = torch.zeros((len(batch), longest), dtype=torch.long)
        seen_B_T = torch.zeros_like(ids_B_T)
        predicts_B_T = torch.zeros_like(ids_B_T, dtype=torch.bool)
        for row, one in enumerate(batch):
            length = len(one.input_ids)
            ids_B_T[row, :length] = torch.tensor(one.input_ids)
            seen_B_T[row, :length] = 1
            predicts_B_T[row, one.prompt_tokens - 1 : length - 1] = True
        with torch.inference_mode():
            hidden_B_T_D = self.model.base_model(
                input_ids=ids_B_T.to(self.device), attention_mask=seen_B_T.to(self.device), use_cache=False
            ).last_hidden_state
            ids_N_K, logp_N_K = self._head(hidden_B_T_D[predicts_B_T.to(self.device)], k)
        return _split(ids_N_K, logp_N_K, [len(one.input_ids) - one.prompt_tokens for one in batch])

    def _head(self, hidden_N_D: torch.Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
        head = self.model.get_output_embeddings()
        ids, logps = [], []
        for part_n_D in hidden_N_D.split(HEAD_POSITIONS):
            logits_n_V = head(part_n_D).float()
            top_n_K = logits_n_V.topk(k, dim=-1)
            logps.append((top_n_K.values - logits_n_V.logsumexp(dim=-1, keepdim=True)).cpu().numpy())
            ids.append(top_n_K.indices.to(torch.int32).cpu().numpy())
        return np.concatenate(ids), np.concatenate(logps)


def _split(ids_N_K: np.ndarray, logp_N_K: np.ndarray, lengths: list[int]) -> list[TopK]:
    ends = np.cumsum(lengths)[:-1]
    return [
        TopK(ids_T_K=ids, logp_T_K=logp.astype(np.float16), mass_T=np.exp(logp).sum(axis=-1))
        for ids, logp in zip(np.split(ids_N_K, ends), np.split(logp_N_K, ends), strict=True)
    ]
