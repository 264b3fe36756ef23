"""Questions of a batch as padded tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from training.aligner.model import Aligner
from training.backbones.base import Backbone


def encode_questions(aligner: Aligner, backbone: Backbone, questions: Sequence[str]) -> Tensor:
    """E^t (b, K, d) of b questions, as `Aligner.score` takes it, on the aligner's device."""
    encoded = [torch.as_tensor(backbone.encode_question(question)) for question in questions]
    tokens = [question.to(aligner.device, torch.float32) for question in encoded]
    lengths = torch.tensor([len(question) for question in tokens])
    mask = torch.arange(int(lengths.max())) < lengths.unsqueeze(1)
    return aligner.encode_questions(pad_sequence(tokens, batch_first=True), mask.to(aligner.device))
