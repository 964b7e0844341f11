"""The loss on captured probabilities against the definition."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from training.distillation_loss import student_loss, top_k_tail_kl

N, V = 6, 40


@pytest.fixture
def logits() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    return torch.randn(N, V, dtype=torch.float64) * 3, torch.randn(N, V, dtype=torch.float64) * 3


def captured(teacher_N_V: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    logp_N_K, ids_N_K = teacher_N_V.log_softmax(-1).topk(k)
    return ids_N_K, logp_N_K, logp_N_K.exp().sum(-1)


def full_kl(teacher_N_V: torch.Tensor, student_N_V: torch.Tensor) -> torch.Tensor:
    return functional.kl_div(student_N_V.log_softmax(-1), teacher_N_V.log_softmax(-1), log_target=True, reduction="sum")


def test_with_the_whole_vocabulary_it_is_the_full_kl(logits):
    teacher, student = logits
    ids, logp, mass = captured(teacher, V)
    torch.testing.assert_close(top_k_tail_kl(student, ids, logp, mass), full_kl(teacher, student), rtol=1e-5, atol=1e-5)


def test_with_fewer_it_is_the_kl_of_the_distribution_with_the_rest_in_one_bucket(logits):
    teacher, student = logits
    ids, logp, mass = captured(teacher, 5)

    def bucketed(one: torch.Tensor) -> torch.Tensor:
        p = one.softmax(-1).gather(1, ids)
        return torch.cat([p, 1 - p.sum(-1, keepdim=True)], -1)

    p, q = bucketed(teacher), bucketed(student)
    torch.testing.assert_close(top_k_tail_kl(student, ids, logp, mass), (p * (p / q).log()).sum(), rtol=1e-5, atol=1e-5)
    assert top_k_tail_kl(student, ids, logp, mass) < full_kl(teacher, student)


def test_it_is_zero_with_no_gradient_at_the_teacher_itself(logits):
    teacher = logits[0].clone().requires_grad_()
    loss = top_k_tail_kl(teacher, *captured(logits[0], 5))
    (gradient,) = torch.autograd.grad(loss, teacher)
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert gradient.abs().max() < 1e-6


def test_the_tail_keeps_the_student_from_over_confidence(logits):
    """Descending from anywhere, the student's mass on the top k comes to the teacher's, not to one."""
    teacher = logits[0] * 0.2
    ids, logp, mass = captured(teacher, 5)
    student = logits[1].clone().requires_grad_()
    optimiser = torch.optim.Adam([student], lr=0.1)
    for _ in range(300):
        optimiser.zero_grad()
        top_k_tail_kl(student, ids, logp, mass).backward()
        optimiser.step()
    assert mass.max() < 0.6
    torch.testing.assert_close(student.softmax(-1).gather(1, ids).sum(-1), mass, atol=1e-3, rtol=0)


def test_ids_the_student_lacks_count_as_tail(logits):
    teacher, student = logits
    narrow = student[:, : V - 3]
    ids, logp, _ = captured(teacher, V)
    loss = top_k_tail_kl(narrow.requires_grad_(), ids[:, :20], logp[:, :20], logp[:, :20].exp().sum(-1))
    assert torch.isfinite(loss)
    (gradient,) = torch.autograd.grad(loss, narrow)
    assert torch.isfinite(gradient).all()
    kept = ids[:, :20] < V - 3
    p = torch.where(kept, logp[:, :20].exp(), 0.0)
    taken = torch.zeros(N, V).scatter_(1, ids[:, :20], 1.0).bool()[:, : V - 3]
    q = narrow.softmax(-1)
    rest_p, rest_q = 1 - p.sum(-1), q.masked_fill(taken, 0).sum(-1)
    q_K = q.gather(1, ids[:, :20].clamp(max=V - 4))
    expected = (torch.xlogy(p, p) - p * q_K.log()).sum() + (rest_p * (rest_p / rest_q).log()).sum()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)


def test_a_teacher_certain_to_the_last_bit_gives_finite_numbers():
    teacher = torch.zeros(2, V)
    teacher[:, 3] = 200.0
    student = torch.zeros(2, V, requires_grad=True)
    loss = top_k_tail_kl(student, *captured(teacher, 4))
    loss.backward()
    assert loss.item() == pytest.approx(2 * torch.log(torch.tensor(float(V))).item(), rel=1e-5)
    assert torch.isfinite(student.grad).all()


def test_the_weight_mixes_the_two_and_sequence_level_is_cross_entropy(logits, monkeypatch):
    teacher, student = logits
    targets = teacher.argmax(-1)
    kd = captured(teacher, 5)
    loss, divergence, cross_entropy = student_loss(student, targets, kd, 0.3)
    torch.testing.assert_close(loss, 0.3 * divergence + 0.7 * cross_entropy)
    monkeypatch.setattr("training.distillation_loss.POSITIONS", 4)
    torch.testing.assert_close(student_loss(student, targets, kd, 0.3)[0], loss)
    alone = student_loss(student, targets, None, 0.3)
    assert alone[0] == alone[2]
    torch.testing.assert_close(alone[0], cross_entropy)
