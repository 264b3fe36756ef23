"""Questions and prompts as token ids."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from pinpoint_data.errors import TrainingError, UsageError

VICUNA = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the human's questions. USER: {images}{question} ASSISTANT:"
)
MISTRAL = "[INST] {images}{question} [/INST]"
"""Prompts of the LLaVA-NeXT checkpoints (Vicuna and Mistral), used where a folder carries no chat template."""


class PromptWriter:
    """Turns questions into token ids.

    Args:
        tokenizer: Of the model.
        folder: Where the chat template of a processor may lie beside the tokenizer.
        image_token: The placeholder of an image, as the tokenizer spells it.
        image: An image in a prompt, with what stands around its placeholder.
        plain: What to write where there is no chat template, with `{images}` and `{question}`.
    """

    def __init__(self, tokenizer: Any, folder: Path, *, image_token: str, image: str, plain: str) -> None:
        self.tokenizer, self.image_token, self.image, self.plain = tokenizer, image_token, image, plain
        self.image_token_id: int = tokenizer.convert_tokens_to_ids(image_token)
        # As transformers does: that of a tokenizer is often left from the language model, which knows no images.
        self._template = _template_of(folder) or _default(tokenizer.chat_template, folder)

    def question_ids(self, question: str) -> list[int]:
        """The tokens of the question as a text of its own: no template, no special tokens.

        Tokenizers with a space in front of a text (Llama's) may begin it with another token than inside a prompt.

        Raises:
            UsageError: The question is empty, or is no text.
        """
        ids: list[int] = self.tokenizer(self._harmless(question), add_special_tokens=False)["input_ids"]
        return ids

    def prompt(self, question: str, images: int) -> list[list[int]]:
        """The ids of the prompt around its images.

        Args:
            question: The question.
            images: How many images the prompt has.

        Returns:
            images + 1 pieces; image i stands between pieces i and i + 1.

        Raises:
            UsageError: The question is empty, or is no text.
            TrainingError: The chat template fails, or does not give one placeholder an image.
        """
        ids: list[int] = self.tokenizer(self._text(self._harmless(question), images))["input_ids"]
        pieces: list[list[int]] = [[]]
        for token in ids:
            if token == self.image_token_id:
                pieces.append([])
            else:
                pieces[-1].append(token)
        if len(pieces) != images + 1:
            raise TrainingError(
                f"the prompt must hold {images} image placeholders {self.image_token!r}, its chat template gives "
                f"{len(pieces) - 1}"
            )
        return pieces

    def _text(self, question: str, images: int) -> str:
        if self._template is None:
            return self.plain.format(images=self.image * images, question=question)
        if self._takes_parts:
            text = self._rendered([{"type": "image"}] * images + [{"type": "text", "text": question}])
        else:
            text = self._rendered(self.image * images + question)
        # The tokenizer adds the beginning of a text itself.
        start = self.tokenizer.bos_token
        return text.removeprefix(start) if start and self._adds_start else text

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether the chat template takes images and text as parts; those of language models take a string."""
        try:
            return self._rendered([{"type": "image"}, {"type": "text", "text": "?"}]).count(self.image_token) == 1
        except TrainingError:
            return False

    def _rendered(self, content: str | list[dict[str, str]]) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": content}],
                chat_template=self._template,
                tokenize=False,
                add_generation_prompt=True,
            )
        except (TemplateError, TypeError, KeyError) as error:
            raise TrainingError(f"the model's chat template fails: {error}") from error
        return text

    @cached_property
    def _adds_start(self) -> bool:
        ids = self.tokenizer("a")["input_ids"]
        return bool(ids) and ids[0] == self.tokenizer.bos_token_id

    def _harmless(self, question: str) -> str:
        """The question with a space inside every special token it spells: `<image>` in a question is no image."""
        text = question.strip()
        if not text:
            raise UsageError("the question is empty")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"the question is no text: character {error.start + 1} is half of a pair") from error
        for token in sorted(self.tokenizer.get_added_vocab(), key=len, reverse=True):
            if len(token) > 1:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text


def _template_of(folder: Path) -> str | None:
    """The chat template of a processor in one of the older files; a `chat_template.jinja` comes with the tokenizer."""
    for name in ("processor_config.json", "chat_template.json"):
        file = folder / name
        if not file.is_file():
            continue
        try:
            found = json.loads(file.read_text(encoding="utf-8")).get("chat_template")
        except (ValueError, AttributeError) as error:
            raise TrainingError(f"is not a chat template: {error!r}", file=file) from error
        if found is not None:
            return _default(found, file)
    return None


def _default(template: Any, where: Path) -> str | None:
    """The template to use of one, or of several by their names."""
    if isinstance(template, dict):
        template = template.get("default")
        if template is None:
            raise TrainingError("has chat templates, but none named 'default'", file=where)
    if not isinstance(template, str | None):
        raise TrainingError(f"has a chat template that is a {type(template).__name__}", file=where)
    return template
