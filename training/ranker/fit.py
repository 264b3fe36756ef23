"""Training the ranker: a listwise loss over the tokens of each question, and members of different seeds.

    L = - sum over tokens t of share_t * log( e^{z_t} / sum over tokens u of n_u e^{z_u} )

share_t is the share of the question's evidence in token t, n_u how many tokens u stands for. It is ListNet's top-one
cross entropy (Cao et al., ICML 2007) with areas of evidence in place of relevance grades: its minimum is the expected
share of the evidence in every token, and taking tokens in that order gives the greatest expected evidence recall at
every budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pinpoint_data.errors import TrainingError, UsageError
from training.ranker.examples import Example
from training.ranker.features import FEATURES
from training.ranker.model import CUT, Ranker

_LEAST_SCALE = 1e-2
_SAMPLED_ROWS = 200_000
_WARM_UP = 0.1
_LEAST_STEPS = 11
"""Of a schedule: with 10 its warm-up would take no step at all, and torch divides by its length."""
_MOST = {"hidden": 10_000, "seed": 2**63 - 1}
_LEAST = {"members": 1, "hidden": 1, "dropout": 0, "epochs": 1, "per_source": 1, "batch": 1, "tokens": 2,
          "learning_rate": 0, "weight_decay": 0, "seed": 0}  # fmt: skip
_Loss = Literal["listwise", "pointwise"]


@dataclass(frozen=True)
class FitSettings:
    """How a ranker is trained.

    Attributes:
        members: Networks that are averaged.
        hidden: Their width.
        dropout: On features and hidden units.
        epochs: Passes; in each, every source gives `per_source` questions.
        per_source: Questions an epoch takes of each source; all of them, in turn, where it has fewer.
        batch: Questions a step.
        tokens: Tokens that a question shows in a step, drawn afresh.
        learning_rate: The highest, of a one-cycle schedule.
        weight_decay: Of AdamW.
        seed: Of the first member; the others count on.
        loss: `listwise` as above, or `pointwise`: the cross entropy of whether each token alone holds evidence.

    Raises:
        UsageError: A value out of range.
    """

    members: int = 3
    hidden: int = 64
    dropout: float = 0.2
    epochs: int = 5
    per_source: int = 300
    batch: int = 8
    tokens: int = 200
    learning_rate: float = 1e-3
    weight_decay: float = 0.5
    seed: int = 0
    loss: _Loss = "listwise"

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            if not least <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name, most in _MOST.items():
            if getattr(self, name) > most:
                raise UsageError(f"{name} must be at most {most}, got {getattr(self, name)}")
        if not self.dropout < 1:
            raise UsageError(f"dropout must be less than 1, got {self.dropout}")
        if self.loss not in get_args(_Loss):
            raise UsageError(f"loss must be one of {', '.join(get_args(_Loss))}, got {self.loss}")
        if not self.learning_rate > 0:
            raise UsageError(f"learning_rate must be more than 0, got {self.learning_rate}")


class Network(nn.Module):
    """One member; `Ranker.logits` computes the same without torch."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(width, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 1)
        self.norm, self.dropout = nn.LayerNorm(hidden), nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Scores (n,) of tokens with standardised features (n, f)."""
        hidden = torch.relu(self.first(self.dropout(features)))
        hidden = hidden + torch.relu(self.second(self.dropout(self.norm(hidden))))
        scores: Tensor = self.last(hidden)[:, 0]
        return scores


def fit_ranker(
    examples: Sequence[Example],
    settings: FitSettings | None = None,
    *,
    name: str = "ranker",
    facts: dict[str, Any] | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Ranker:
    """Train a ranker on the CPU; the same examples and settings give the same ranker on the same machine.

    Args:
        examples: What to learn from.
        settings: See `FitSettings`.
        name: Of the ranker.
        facts: What to record with it.
        report: Told a line an epoch.

    Raises:
        TrainingError: There is nothing to learn from, or the loss is not finite.
    """
    settings = settings or FitSettings()
    if not examples:
        raise TrainingError("there is no question to learn from", remedy="publish questions with gold boxes")
    mean, scale = _standard(examples, settings.seed)
    ready = [_Ready.of(example, mean, scale) for example in examples]
    members = [_fit_member(ready, settings, settings.seed + k, report) for k in range(settings.members)]
    states = [{key: tensor.detach().numpy() for key, tensor in member.state_dict().items()} for member in members]
    tensors = {key: np.stack([state[key] for state in states]).astype(np.float32) for key in states[0]}
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):  # of the last step no loss tells
        raise TrainingError("the weights are not finite", remedy="lower learning_rate or weight_decay")
    tensors["last.weight"], tensors["last.bias"] = tensors["last.weight"][:, 0], tensors["last.bias"][:, 0]
    return Ranker(name, {"mean": mean, "scale": scale, **tensors}, {**(facts or {}), "settings": asdict(settings)})


@dataclass(frozen=True, eq=False)
class _Ready:
    """An example with standardised features, evidence and other tokens apart."""

    source: str
    features: npt.NDArray[np.float16]
    share: npt.NDArray[np.float32]
    log_weight: npt.NDArray[np.float32]
    evidence: npt.NDArray[np.int64]
    others: npt.NDArray[np.int64]

    @classmethod
    def of(cls, example: Example, mean: npt.NDArray[np.float32], scale: npt.NDArray[np.float32]) -> _Ready:
        standard = np.clip((example.features.astype(np.float32) - mean) / scale, -CUT, CUT).astype(np.float16)
        evidence, others = np.flatnonzero(example.share > 0), np.flatnonzero(example.share == 0)
        return cls(example.source, standard, example.share, np.log(example.weight), evidence, others)

    def draw(self, most: int, generator: np.random.Generator) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Some of its tokens, and the logarithm of how many each stands for."""
        rows = []
        weights = []
        left = most
        for pool, take in ((self.evidence, most // 2), (self.others, most)):
            kept = pool if len(pool) <= min(take, left) else generator.choice(pool, min(take, left), replace=False)
            left -= len(kept)
            rows.append(kept)
            weights.append(self.log_weight[kept] + np.float32(np.log(len(pool) / max(len(kept), 1) or 1)))
        return np.concatenate(rows), np.concatenate(weights)


def _standard(examples: Sequence[Example], seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and spread (f,) of the features over a sample of tokens, every source alike."""
    generator = np.random.default_rng(seed)
    by_source: dict[str, list[Example]] = {}
    for example in examples:
        by_source.setdefault(example.source, []).append(example)
    rows = []
    for own in by_source.values():
        every = max(1, sum(len(example.share) for example in own) * len(by_source) // _SAMPLED_ROWS)
        rows += [example.features[generator.integers(every) :: every].astype(np.float32) for example in own]
    sample = np.concatenate(rows)
    if sample.shape[1] != len(FEATURES):
        raise TrainingError(f"examples must have {len(FEATURES)} features, got {sample.shape[1]}")
    return sample.mean(axis=0), sample.std(axis=0) + np.float32(_LEAST_SCALE)


def _fit_member(examples: Sequence[_Ready], settings: FitSettings, seed: int, report: Callable[[str], None]) -> Network:
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = Network(examples[0].features.shape[1], settings.hidden, settings.dropout)
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    epochs = [_epoch(examples, settings.per_source, generator) for _ in range(settings.epochs)]
    steps = sum(-(-len(epoch) // settings.batch) for epoch in epochs)
    length = max(steps + 1, _LEAST_STEPS)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, length, pct_start=_WARM_UP)
    network.train()
    for number, epoch in enumerate(epochs, start=1):
        losses = []
        for start in range(0, len(epoch), settings.batch):
            batch = [examples[index] for index in epoch[start : start + settings.batch]]
            loss = _loss(network, batch, settings, generator)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        if not np.isfinite(losses).all():
            raise TrainingError(f"the loss is not finite in epoch {number}", remedy="lower learning_rate")
        report(f"member of seed {seed}, epoch {number} of {settings.epochs}: loss {np.mean(losses):.3f}")
    return network.eval()


def _epoch(examples: Sequence[_Ready], per_source: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Indices of one epoch's questions: as many of each source, in random order."""
    by_source: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        by_source.setdefault(example.source, []).append(index)
    drawn = []
    for own in by_source.values():
        rounds = [generator.permutation(own) for _ in range(-(-per_source // len(own)))]
        drawn.append(np.concatenate(rounds)[:per_source])
    return generator.permutation(np.concatenate(drawn))


def _loss(network: Network, batch: Sequence[_Ready], settings: FitSettings, generator: np.random.Generator) -> Tensor:
    drawn = [example.draw(settings.tokens, generator) for example in batch]
    features = np.concatenate([example.features[rows] for example, (rows, _) in zip(batch, drawn, strict=True)])
    scores = network(torch.from_numpy(features.astype(np.float32)))
    losses = []
    start = 0
    for example, (rows, log_weight) in zip(batch, drawn, strict=True):
        own = scores[start : start + len(rows)]
        start += len(rows)
        share, weight = torch.from_numpy(example.share[rows]), torch.from_numpy(log_weight)
        if settings.loss == "pointwise":
            each = nn.functional.binary_cross_entropy_with_logits(own, (share > 0).float(), reduction="none")
            losses.append((weight.softmax(dim=0) * each).sum())
        else:
            log_total = torch.logsumexp(own + weight, dim=0)
            losses.append(log_total - (share / share.sum() * own).sum())
    return torch.stack(losses).mean()
