"""A vision-language model taken apart: layouts, visual tokens, prompts, and answers from any tokens one chooses."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from pinpoint_data.errors import TrainingError
from training.vlm.layout import ImageLayout, PromptSequence, VisualTokens
from training.vlm.loading import load_weights
from training.vlm.source import ModelSource, first_line
from training.vlm.text import PromptWriter

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}

# No vision tower has such tiles or cells; one of 30,000 pixels a side would fill the memory before any weight is read.
_MOST_PIXELS_A_SIDE = 4096


@dataclass(frozen=True)
class Generated:
    """An answer.

    Attributes:
        ids: New token ids, without the end-of-text token.
        text: Decoded and stripped.
        seconds_prefill: Until the first new token.
        seconds_decode: From there to the last one.
    """

    ids: tuple[int, ...]
    text: str
    seconds_prefill: float
    seconds_decode: float


class VisionLanguageModel(ABC):
    """A model of the LLaVA-NeXT or Qwen-VL family. Weights are loaded when they are first needed.

    Args:
        source: Its files.
        config: Its configuration.
        dtype: `bfloat16`, `float16` or `float32`.
        device: Where it runs; a GPU where there is one by default.
        device_map: How accelerate spreads the whole model over devices, instead of `device`; needs `language`.
            The input embeddings must not be offloaded: where they are, prompts and pixels go in.
        language: Load the language model too, which answers need. Else the vision tower, the projector and the input
            embeddings alone, which take a twentieth of the memory.

    Attributes:
        family: `llava-next`, `qwen2-vl`, `qwen2.5-vl` or `qwen3-vl`.
        plain_prompt: What a prompt is where the model's folder has no chat template.
        image_in_prompt: An image in it, or in a chat template that was made for text alone; `{}` is the placeholder.
        processor: Its image processor, the Pillow one.
        token_dim: Width of a visual token and of a token embedding.
    """

    family: str
    plain_prompt: str
    image_in_prompt: str
    processor: Any

    def __init__(
        self,
        source: ModelSource,
        config: Any,
        *,
        dtype: str = "bfloat16",
        device: str | None = None,
        device_map: str | dict[str, Any] | None = None,
        language: bool = False,
    ) -> None:
        if dtype not in DTYPES:
            raise TrainingError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
        if device_map is not None and not language:
            raise TrainingError("device_map is for a model that is opened with its language model")
        self.source, self.config, self.dtype, self.language = source, config, DTYPES[dtype], language
        self.device_map = device_map
        self._lender: VisionLanguageModel | None = None
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.token_dim: int = config.text_config.hidden_size

    @abstractmethod
    def layout(self, width: int, height: int) -> ImageLayout:
        """The tokens of a page of this size, as the model itself would encode it.

        Raises:
            GeometryError: The model refuses such a page.
        """

    def view_layout(self, width: int, height: int) -> ImageLayout | None:
        """The view of the whole page that `layout` puts before a page's grid, as an image of its own.

        Its grid tokens are the `GLOBAL` ones of the page, in their order. None where a page has no such view.
        """
        return None

    @abstractmethod
    def crop_layout(self, width: int, height: int, tokens: int) -> ImageLayout:
        """The tokens of a crop of this size, encoded with about `tokens` grid tokens and never more.

        Cells are about square; the crop is enlarged where that takes more tokens than it has pixels for. There is no
        view of the whole in it.
        """

    @abstractmethod
    def prepare(self, image: Image.Image, layout: ImageLayout) -> Tensor:
        """The pixels of one image as the vision tower takes them, on the CPU; `len` of it is its cost in patches."""

    @abstractmethod
    def encode_prepared(self, pixels: Sequence[Tensor], layouts: Sequence[ImageLayout]) -> list[VisualTokens]:
        """The visual tokens of some prepared images, in one pass of the vision tower."""

    @abstractmethod
    def model_positions(self, ids: Tensor, layouts: Sequence[ImageLayout]) -> Tensor:
        """(p, S): the positions that the model itself gives a prompt (S,) holding all tokens of these images."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON-ready settings of the processor that decide what the tokens of a page are."""

    @property
    @abstractmethod
    def patches_a_pass(self) -> int:
        """How many patches (as `prepare` counts them) go through the vision tower at once, by default."""

    @cached_property
    def weights(self) -> Any:
        """The transformers model; loaded at the first access."""
        if self._lender is not None:
            return self._lender.weights
        return load_weights(self.source, self.config, self.dtype, self._device, self.device_map, language=self.language)

    @property
    def device(self) -> torch.device:
        """Where pixels and prompts go in; of a model on several devices known only once it is loaded."""
        if self._lender is not None:
            return self._lender.device
        if self.device_map is None:
            return self._device
        device: torch.device = self.weights.get_input_embeddings().weight.device
        return device

    @property
    def inner(self) -> Any:
        """The model without its language-modelling head."""
        return self.weights.base_model

    def borrow_weights(self, lender: VisionLanguageModel) -> bool:
        """Use the weights of another opened model from now on, where they are the same ones in the same precision.

        Two that look at pages differently (at most so many pixels, one view or another) then take memory once.

        Returns:
            Whether they are.
        """
        same = (self.source.fingerprint, self.dtype) == (lender.source.fingerprint, lender.dtype)
        if same and self not in (lender, lender._lender):
            self.__dict__.pop("weights", None)
            self._lender = lender
        return same

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        try:
            return AutoTokenizer.from_pretrained(self.source.path)
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(f"has no usable tokenizer: {first_line(error)}", file=self.source.path) from error

    @cached_property
    def _writer(self) -> PromptWriter:
        token = self.tokenizer.convert_ids_to_tokens(self.config.image_token_id)
        if token is None:
            raise TrainingError(
                f"has a tokenizer without the image placeholder {self.config.image_token_id}", file=self.source.path
            )
        image = self.image_in_prompt.format(token)
        return PromptWriter(self.tokenizer, self.source.path, image_token=token, image=image, plain=self.plain_prompt)

    @torch.inference_mode()
    def encode(self, images: Sequence[Image.Image], layouts: Sequence[ImageLayout]) -> list[VisualTokens]:
        """The visual tokens of some images, in batches of at most `patches_a_pass` patches.

        Args:
            images: RGB.
            layouts: What each becomes, from `layout` or `crop_layout` of its size.

        Raises:
            TrainingError: An image is not of its layout's size, or the model gives another number of tokens.
        """
        found: list[VisualTokens] = []
        for pixels, own in self._batches(images, layouts):
            tokens = self.encode_prepared(pixels, own)
            for layout, image_tokens in zip(own, tokens, strict=True):
                _check_count(layout, image_tokens)
            found += tokens
        return found

    def _batches(
        self, images: Sequence[Image.Image], layouts: Sequence[ImageLayout]
    ) -> Iterator[tuple[list[Tensor], list[ImageLayout]]]:
        pixels: list[Tensor] = []
        own: list[ImageLayout] = []
        for image, layout in zip(images, layouts, strict=True):
            if image.size != (layout.width, layout.height):
                raise TrainingError(
                    f"an image of {image.size} pixels needs a layout of its size, got {(layout.width, layout.height)}"
                )
            prepared = self.prepare(image, layout)
            if pixels and sum(map(len, pixels)) + len(prepared) > self.patches_a_pass:
                yield pixels, own
                pixels, own = [], []
            pixels.append(prepared)
            own.append(layout)
        if pixels:
            yield pixels, own

    def question_ids(self, question: str) -> list[int]:
        """The question's own token ids: no template, no special tokens.

        Raises:
            UsageError: The question is empty.
        """
        return self._writer.question_ids(question)

    @torch.inference_mode()
    def embed(self, ids: Sequence[int] | Tensor) -> Tensor:
        """Input embeddings (n, d) of token ids."""
        embeddings = self.inner.get_input_embeddings()
        found: Tensor = embeddings(torch.as_tensor(ids, device=embeddings.weight.device))
        return found

    def prompt(self, question: str, images: int) -> list[list[int]]:
        """The ids of the prompt around `images` images: piece, image, piece, ..., piece.

        Raises:
            UsageError: The question is empty.
            TrainingError: The chat template fails.
        """
        return self._writer.prompt(question, images)

    def assemble(self, pieces: Sequence[Sequence[int]], layouts: Sequence[ImageLayout]) -> PromptSequence:
        """A prompt with all tokens of its images, at the positions that the model itself gives them.

        Args:
            pieces: Text ids, from `prompt`.
            layouts: Of the images between the pieces.
        """
        ids, image = list(pieces[0]), [-1] * len(pieces[0])
        for number, (layout, piece) in enumerate(zip(layouts, pieces[1:], strict=True)):
            ids += [self.config.image_token_id] * layout.n_tokens + list(piece)
            image += [number] * layout.n_tokens + [-1] * len(piece)
        found = torch.tensor(ids)
        return PromptSequence(found, self.model_positions(found, layouts), torch.tensor(image))

    @torch.inference_mode()
    def logits(self, sequence: PromptSequence, visual: VisualTokens) -> Tensor:
        """Logits (S, vocabulary) of a prompt whose visual tokens are given.

        Raises:
            TrainingError: The sequence has another number of image placeholders.
        """
        found: Tensor = self._language()(**self.decoder_inputs(sequence, visual), use_cache=False).logits[0]
        return found

    @torch.inference_mode()
    def generate(self, sequence: PromptSequence, visual: VisualTokens, max_new_tokens: int = 32) -> Generated:
        """The greedy continuation of a prompt, with a key-value cache.

        As the model's own `generate(do_sample=False)`: a repetition penalty among its settings applies (Qwen2.5-VL).

        Raises:
            TrainingError: The sequence has another number of image placeholders.
        """
        model, inputs = self._language(), self.decoder_inputs(sequence, visual)
        clock = _FirstToken()
        started = self.synchronised()
        made = model.generate(
            **inputs,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
            # What checkpoints carry for sampling would only warn here.
            temperature=None,
            top_p=None,
            top_k=None,
            stopping_criteria=[clock],
        )
        ended = self.synchronised()
        ids = made[0, len(sequence) :].tolist()
        ends = model.generation_config.eos_token_id
        while ids and ids[-1] in (ends if isinstance(ends, list) else [ends]):
            ids.pop()
        text = self.tokenizer.decode(ids, skip_special_tokens=True).strip()
        first = clock.at if clock.at is not None else ended
        return Generated(tuple(ids), text, first - started, ended - first)

    def synchronised(self) -> float:
        """`time.perf_counter()` once the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _load_processor(self, kind: Any) -> Any:
        try:
            return kind.from_pretrained(self.source.path)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise TrainingError(f"has no usable image processor: {first_line(error)}", file=self.source.path) from error

    def _check_processor(self, prepare: Callable[[Image.Image], object], side: int) -> None:
        """Try the image processor on a blank picture: its settings are a file of their own, and need not fit the model.

        Raises:
            TrainingError: They do not.
        """
        try:
            if side > _MOST_PIXELS_A_SIDE:
                raise ValueError(f"tiles or cells of {side:,} pixels a side")
            prepare(Image.new("RGB", (side, side)))
        except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RuntimeError) as error:
            raise TrainingError(f"has no usable image processor: {first_line(error)}", file=self.source.path) from error

    def _processor_settings(self, names: Sequence[str]) -> dict[str, Any]:
        described = self.processor.to_dict()
        # Through JSON, so that settings compare equal to recorded ones: a tuple would not.
        settings: dict[str, Any] = json.loads(json.dumps({name: described.get(name) for name in names}))
        return settings

    def _language(self) -> Any:
        if not self.language:
            raise TrainingError("this model was opened without its language model, which answers need")
        return self.weights

    def decoder_inputs(self, sequence: PromptSequence, visual: VisualTokens) -> dict[str, Any]:
        """What the transformers model's forward takes for a prompt whose visual tokens are given.

        Raises:
            TrainingError: The sequence has another number of image placeholders, or there is no language model.
        """
        device = self._language().get_input_embeddings().weight.device
        slots = int((sequence.ids == self.config.image_token_id).sum())
        if slots != len(visual):
            raise TrainingError(f"the prompt has room for {slots} visual tokens, got {len(visual)}")
        positions = sequence.positions.to(device)
        return {
            "input_ids": sequence.ids[None].to(device),
            # With gaps in the positions and no mask, plain rotary models would take each gap for the end of a packed
            # text and attend inside the parts only.
            "attention_mask": torch.ones(1, len(sequence), dtype=torch.long, device=device),
            "position_ids": positions if len(positions) == 1 else positions[:, None],
            "mm_encoder_outputs": {"image": self.encoder_output(visual)} if len(visual) else None,
        }

    def encoder_output(self, visual: VisualTokens) -> Any:
        """Given tokens, in the form that the model's own vision tower would hand them on."""
        tokens: Any = [visual.tokens]  # a list, an entry an image, whatever the field's type says
        return BaseModelOutputWithPooling(pooler_output=tokens)


class _FirstToken:
    """A stopping criterion that never stops: it notes when the first token was there."""

    def __init__(self) -> None:
        self.at: float | None = None

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        if self.at is None:
            if input_ids.is_cuda:
                torch.cuda.synchronize(input_ids.device)
            self.at = time.perf_counter()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def _check_count(layout: ImageLayout, tokens: VisualTokens) -> None:
    if len(tokens) != layout.n_tokens:
        raise TrainingError(
            f"the model gave {len(tokens)} visual tokens for an image of {layout.width} x {layout.height} pixels, "
            f"its layout has {layout.n_tokens}",
            remedy="this version of transformers cuts images otherwise than the one pinpoint-data was checked with",
        )
