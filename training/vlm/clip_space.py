"""CLIP's joint space: patches that LLaVA-NeXT's tower has made, beside a question, where a dot product compares both.

    clip = ClipSpace("openai/clip-vit-large-patch14-336")
    signals = clip.signals(vision, "What is the total?")
    signals.patches @ signals.text[0]     # (n,)

LLaVA-NeXT's checkpoints hold the vision tower alone; the way into the joint space and the text tower come from the
CLIP model that the tower was taken from. That model's own tower is not used: the patches are LLaVA-NeXT's, whose tower
has been trained on since, and those of the layer that the projector reads (the last but one), as CDPruner and TRIM have
it. Neither is what CLIP was trained for, and what a similarity is worth there is what a benchmark has to show.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import AutoTokenizer

from pinpoint_data.errors import TrainingError
from training.vlm.loading import from_safetensors
from training.vlm.source import find_model, first_line, read_config

if TYPE_CHECKING:
    from training.vlm.vision_pass import VisionSignals


@dataclass(frozen=True, eq=False)
class ClipSignals:
    """Patches and a question in CLIP's joint space, float32, not normalised.

    Attributes:
        patches: (n, d_c) of the grid tokens.
        text: (chunks, d_c) of the question, cut where it is longer than CLIP reads at once; the first chunk is what
            CLIP itself makes of it.
        flops: What making them took.
    """

    patches: Tensor
    text: Tensor
    flops: float


class ClipSpace:
    """The joint space of a CLIP model. Its weights are loaded when they are first needed, from safetensors alone.

    Args:
        model: A folder, or a name on the hub, of the layout of `openai/clip-vit-large-patch14-336`.
        revision: Branch, tag or commit on the hub: models that hold pickles alone often have safetensors on another.
        device: Where it runs; a GPU where there is one by default.

    Attributes:
        fingerprint: Equal ones mean equal weights and settings.
        width: Of the patches that it takes.

    Raises:
        TrainingError: There is no such model, or it is no CLIP.
    """

    def __init__(
        self, model: str | Path, *, revision: str | None = None, device: torch.device | str | None = None
    ) -> None:
        self.source = find_model(model, revision)
        self.config = read_config(self.source.path)
        if self.config.model_type != "clip":
            raise TrainingError(
                f"is a {self.config.model_type}, not a CLIP model with both towers",
                file=self.source.path,
                remedy="give the model that the vision tower was taken from, openai/clip-vit-large-patch14-336",
            )
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.fingerprint = self.source.fingerprint
        self.width: int = self.config.vision_config.hidden_size

    def signals(self, vision: VisionSignals, question: str) -> ClipSignals:
        """A page's patches, or those of several end to end, and a question.

        Raises:
            TrainingError: The patches are not of a CLIP tower, or of another width.
        """
        if vision.patches is None:
            raise TrainingError("CLIP's joint space takes the patches of a CLIP tower, and this model has another one")
        patches, text = self.patches(vision.patches), self.text(question).to(vision.patches.device)
        return ClipSignals(patches, text, self._flops(len(patches), question))

    @torch.inference_mode()
    def patches(self, features: Tensor) -> Tensor:
        """(n, d_c): visual_projection(post_layernorm(x)) of the tower's features (n, width), on their device.

        Raises:
            TrainingError: They are of another width.
        """
        if features.shape[-1] != self.width:
            raise TrainingError(
                f"its tower is {self.width} wide, and the patches {features.shape[-1]}",
                file=self.source.path,
                remedy="give the CLIP model that the vision tower was taken from",
            )
        seen = self._model.vision_model.post_layernorm(features.to(self.device, torch.float32))
        projected: Tensor = self._model.visual_projection(seen)
        return projected.to(features.device)

    @torch.inference_mode()
    def text(self, question: str) -> Tensor:
        """(chunks, d_c) of the question's chunks, each between a token that begins it and one that ends it.

        A chunk stands for itself: it has its own beginning and its own positions. (CDPruner's released code cuts
        behind these tokens, so that later chunks lack a beginning and are filled up with token 0.)
        """
        model, found = self._model, []
        for chunk in self._chunks(question):
            hidden = model.text_model(input_ids=torch.tensor([chunk], device=self.device)).last_hidden_state
            found.append(model.text_projection(hidden[0, -1]))
        return torch.stack(found)

    def _chunks(self, question: str) -> list[list[int]]:
        """Token ids, as many as CLIP reads at once."""
        tokenizer = self._tokenizer
        ids: list[int] = tokenizer(question, add_special_tokens=False, verbose=False)["input_ids"]
        length = self.config.text_config.max_position_embeddings - 2
        return [
            [tokenizer.bos_token_id, *ids[start : start + length], tokenizer.eos_token_id]
            for start in range(0, max(len(ids), 1), length)
        ]

    def _flops(self, patches: int, question: str) -> float:
        """Two projections and the text tower, counted as in `training.flops.parts`."""
        tower, joint = self.config.text_config, self.config.projection_dim
        matrices = 4 * tower.hidden_size**2 + 2 * tower.hidden_size * tower.intermediate_size
        lengths = [len(chunk) for chunk in self._chunks(question)]
        layer = sum(2 * n * matrices + 4 * n**2 * tower.hidden_size for n in lengths)
        projected = 2 * joint * (patches * self.width + len(lengths) * tower.hidden_size)
        return float(tower.num_hidden_layers * layer + projected)

    @cached_property
    def _model(self) -> Any:
        """The CLIP model without the blocks of its vision tower: their tensors are never read."""
        config = copy.deepcopy(self.config)
        config.vision_config.num_hidden_layers = 0
        return from_safetensors("CLIPModel", self.source.with_weights(), config=config, dtype=torch.float32).to(
            self.device
        )

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.source.path)
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(f"has no usable tokenizer: {first_line(error)}", file=self.source.path) from error
        if tokenizer.bos_token_id is None or tokenizer.eos_token_id is None:
            raise TrainingError("has a tokenizer without tokens that begin and end a text", file=self.source.path)
        return tokenizer
