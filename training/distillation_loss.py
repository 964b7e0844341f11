"""The student's loss on captured probabilities: KL over the teacher's top k and one bucket for all the rest.

Naive top-k (renormalised over the k) makes students over-confident; the tail bucket keeps the mass that the k tokens do
not hold where it belongs: spread over the rest, however the student likes.
"""

from __future__ import annotations

import torch
from torch.nn import functional

POSITIONS = 128
"""Positions at once: larger copies of the logits leave the caches (a fifth slower on a CPU)."""


def top_k_tail_kl(
    logits_N_V: torch.Tensor, ids_N_K: torch.Tensor, logp_N_K: torch.Tensor, mass_N: torch.Tensor
) -> torch.Tensor:
    """KL(teacher || student) in nats, summed over N positions; equal to the full KL when k is the vocabulary.

    ``mass_N`` is the share of the teacher's probability in the k tokens, before rounding. An id that the student does
    not have (rows that pad the teacher's vocabulary) counts as tail.
    """
    vocabulary = logits_N_V.shape[-1]
    known_N_K = ids_N_K < vocabulary
    # fp16 log-probabilities are off by up to 5e-4 each; scaled to the exact mass, the tail keeps its own.
    teacher_N_K = functional.softmax(logp_N_K.float(), dim=-1) * mass_N[:, None].clamp(max=1.0)
    tail_N = (1.0 - (teacher_N_K * known_N_K).sum(dim=-1)).clamp(min=0.0)
    teacher_N_K = teacher_N_K * known_N_K
    normaliser_N = logits_N_V.logsumexp(dim=-1)
    student_N_K = logits_N_V.gather(1, ids_N_K.clamp(max=vocabulary - 1)) - normaliser_N[:, None]
    kl_N = (torch.xlogy(teacher_N_K, teacher_N_K) - teacher_N_K * student_N_K).sum(dim=-1)
    if ids_N_K.shape[1] < vocabulary:
        taken_N_V1 = torch.zeros(len(logits_N_V), vocabulary + 1, dtype=torch.bool, device=logits_N_V.device)
        taken_N_V1.scatter_(1, ids_N_K.clamp(max=vocabulary), True)
        # Summed over what is left, not 1 - sum: the difference of two numbers near one has no gradient to speak of.
        rest_N = logits_N_V.masked_fill(taken_N_V1[:, :vocabulary], -torch.inf).logsumexp(dim=-1) - normaliser_N
        kl_N = kl_N + torch.xlogy(tail_N, tail_N) - tail_N * rest_N
    return kl_N.sum()


def student_loss(
    logits_N_V: torch.Tensor,
    targets_N: torch.Tensor,
    captured: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None,
    weight: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """``(loss, kl, cross_entropy)``, each summed over the N labelled positions.

    ``captured`` is ``(ids_N_K, logp_N_K, mass_N)``, or None for the sequence-level loss: cross-entropy alone.
    """
    divergence = cross_entropy = torch.zeros((), device=logits_N_V.device)
    parts = zip(*(one.split(POSITIONS) for one in (logits_N_V, targets_N, *(captured or ()))), strict=True)
    for logits_n_V, targets_n, *captured_n in parts:
        cross_entropy = cross_entropy + functional.cross_entropy(logits_n_V.float(), targets_n, reduction="sum")
        if captured_n:
            ids_n_K, logp_n_K, mass_n = captured_n
            divergence = divergence + top_k_tail_kl(logits_n_V.float(), ids_n_K, logp_n_K, mass_n)
    if captured is None:
        return cross_entropy, divergence, cross_entropy
    return weight * divergence + (1 - weight) * cross_entropy, divergence, cross_entropy
