"""The losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from training.aligner.losses import PinpointLoss, has_both, inter_loss, intra_loss

torch.set_num_threads(1)
T = torch.tensor(0.5)


def log_sum_exp(*values: float) -> float:
    return math.log(sum(math.exp(value) for value in values))


def test_inter_loss_is_symmetric_infonce() -> None:
    scores = torch.tensor([[0.9, 0.1], [0.3, 0.5]])
    rows = [log_sum_exp(1.8, 0.2) - 1.8, log_sum_exp(0.6, 1.0) - 1.0]
    columns = [log_sum_exp(1.8, 0.6) - 1.8, log_sum_exp(0.2, 1.0) - 1.0]
    expected = (sum(rows) / 2 + sum(columns) / 2) / 2
    found = inter_loss(scores, torch.eye(2, dtype=torch.bool), T)
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_pairs_of_one_document_are_no_negatives() -> None:
    scores = torch.tensor([[0.9, 0.8, 0.1], [0.7, 0.5, 0.0], [0.3, 0.2, 0.6]], requires_grad=True)
    same = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    rows = [log_sum_exp(1.8, 0.2) - 1.8, log_sum_exp(1.0, 0.0) - 1.0, log_sum_exp(0.6, 0.4, 1.2) - 1.2]
    columns = [log_sum_exp(1.8, 0.6) - 1.8, log_sum_exp(1.0, 0.4) - 1.0, log_sum_exp(0.2, 0.0, 1.2) - 1.2]
    found = inter_loss(scores, same, T)
    assert found.item() == pytest.approx((sum(rows) / 3 + sum(columns) / 3) / 2, abs=1e-6)
    found.backward()
    assert scores.grad[0, 1] == 0 and scores.grad[1, 0] == 0
    assert torch.isfinite(scores.grad).all()


def test_a_batch_of_one_document_gives_no_inter_loss() -> None:
    found = inter_loss(torch.rand(3, 3), torch.ones(3, 3, dtype=torch.bool), T)
    assert found.item() == pytest.approx(0, abs=1e-7)


def test_intra_loss_is_the_mean_over_positives() -> None:
    scores = torch.tensor([[0.9, 0.2, 0.4, 0.6, 0.0]])
    positive = torch.tensor([[1, 1, 0, 0, 0]], dtype=torch.bool)
    negative = torch.tensor([[0, 0, 1, 0, 1]], dtype=torch.bool)  # the fourth window is ignored
    expected = (
        -math.log(math.exp(1.8) / (math.exp(1.8) + math.exp(0.8) + 1))
        - math.log(math.exp(0.4) / (math.exp(0.4) + math.exp(0.8) + 1))
    ) / 2
    assert intra_loss(scores, positive, negative, T).item() == pytest.approx(expected, abs=1e-6)


def test_a_positive_is_no_rival_of_another_positive() -> None:
    scores = torch.tensor([[5.0, 0.0, 0.0]])
    positive = torch.tensor([[1, 1, 0]], dtype=torch.bool)
    negative = torch.tensor([[0, 0, 1]], dtype=torch.bool)
    expected = (math.log(1 + math.exp(-10)) + math.log(2)) / 2
    assert intra_loss(scores, positive, negative, T).item() == pytest.approx(expected, abs=1e-6)


def test_questions_without_positive_or_negative_windows_are_counted_and_harmless() -> None:
    criterion = PinpointLoss(intra_weight=0.5, temperature=0.5)
    scores = torch.tensor([[0.9, 0.2], [0.1, 0.4], [0.3, 0.3]], requires_grad=True)
    positive = torch.tensor([[1, 0], [0, 1], [0, 0]], dtype=torch.bool)
    negative = torch.tensor([[0, 1], [0, 0], [1, 1]], dtype=torch.bool)
    loss = criterion(scores, positive, negative, torch.tensor([0, 1, 0]), torch.tensor([0, 1, 2]))
    intra = math.log(1 + math.exp((0.2 - 0.9) / 0.5))
    inter = inter_loss(scores.detach()[:2], torch.eye(2, dtype=torch.bool), T)
    assert loss.intra.item() == pytest.approx(intra, abs=1e-6)
    assert loss.inter.item() == pytest.approx(inter.item(), abs=1e-6)
    assert loss.total.item() == pytest.approx(inter.item() + 0.5 * intra, abs=1e-6)
    assert (loss.without_positive, loss.without_intra) == (1, 2)
    assert has_both(positive, negative).tolist() == [True, False, False]
    loss.total.backward()
    assert torch.isfinite(scores.grad).all() and (scores.grad[2] == 0).all()


def test_either_loss_can_be_left_out() -> None:
    scores = torch.tensor([[0.9, 0.1], [0.3, 0.5]])
    yes = torch.eye(2, dtype=torch.bool)
    both, inter, intra = (
        PinpointLoss(inter_weight=a, intra_weight=b)(scores, yes, ~yes, torch.arange(2), torch.arange(2))
        for a, b in ((2.0, 0.5), (1.0, 0.0), (0.0, 1.0))
    )
    assert inter.total == inter.inter and intra.total == intra.intra
    torch.testing.assert_close(both.total, 2 * inter.total + intra.total / 2)


def test_a_batch_without_any_positive_gives_zero_and_no_nan() -> None:
    criterion = PinpointLoss()
    scores = torch.rand(2, 3, requires_grad=True)
    none = torch.zeros(2, 3, dtype=torch.bool)
    loss = criterion(scores, none, ~none, torch.zeros(2, dtype=torch.int64), torch.arange(2))
    loss.total.backward()
    assert loss.total.item() == 0 and loss.without_positive == 2
    assert torch.isfinite(scores.grad).all()


def test_large_similarities_stay_finite() -> None:
    scores = torch.tensor([[1.0, -1.0]], requires_grad=True)
    positive = torch.tensor([[0, 1]], dtype=torch.bool)
    found = intra_loss(scores, positive, ~positive, torch.tensor(0.01))
    found.sum().backward()
    assert found.item() == pytest.approx(200, rel=1e-5) and torch.isfinite(scores.grad).all()


def test_the_temperature_is_learnt_and_kept_in_its_range() -> None:
    criterion = PinpointLoss()
    assert criterion.temperature.item() == pytest.approx(0.07)
    scores = torch.tensor([[0.9, 0.1], [0.3, 0.5]])
    yes = torch.eye(2, dtype=torch.bool)
    criterion(scores, yes, ~yes, torch.arange(2), torch.arange(2)).total.backward()
    assert criterion.log_temperature.grad.item() != 0
    for wild, kept in ((1e-4, 0.01), (50.0, 1.0)):
        criterion.log_temperature.data.fill_(math.log(wild))
        criterion.clamp()
        assert criterion.temperature.item() == pytest.approx(kept)
