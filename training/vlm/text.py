"""Questions and prompts as token ids."""

from __future__ import annotations

import json
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
        folder: Where a chat template may lie beside the tokenizer.
        image_token: The placeholder of an image, as the tokenizer spells it.
        plain: What to write where there is no chat template, with `{images}` and `{question}`.
    """

    def __init__(self, tokenizer: Any, folder: Path, image_token: str, plain: str) -> None:
        self.tokenizer, self.image_token, self.plain = tokenizer, image_token, plain
        self.image_token_id: int = tokenizer.convert_tokens_to_ids(image_token)
        self._template: str | None = tokenizer.chat_template or _template_of(folder)

    def question_ids(self, question: str) -> list[int]:
        """The question's own tokens: no template, no special tokens.

        Raises:
            UsageError: The question is empty.
        """
        text = self._harmless(question)
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if not ids:
            raise UsageError("the question is empty")
        return ids

    def prompt(self, question: str, images: int) -> list[list[int]]:
        """The ids of the prompt around its images.

        Args:
            question: The question.
            images: How many images the prompt has.

        Returns:
            images + 1 pieces; image i stands between pieces i and i + 1.

        Raises:
            UsageError: The question is empty.
            TrainingError: The chat template fails, or does not give one placeholder an image.
        """
        if not question.strip():
            raise UsageError("the question is empty")
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
            return self.plain.format(images=f"{self.image_token}\n" * images, question=question)
        content = [{"type": "image"}] * images + [{"type": "text", "text": question}]
        try:
            text: str = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": content}],
                chat_template=self._template,
                tokenize=False,
                add_generation_prompt=True,
            )
        except (TemplateError, TypeError, KeyError) as error:
            raise TrainingError(f"the model's chat template fails: {error}") from error
        # The tokenizer adds the beginning of a text itself.
        start = self.tokenizer.bos_token
        return text.removeprefix(start) if start and self._adds_start() else text

    def _adds_start(self) -> bool:
        ids = self.tokenizer("a")["input_ids"]
        return bool(ids) and ids[0] == self.tokenizer.bos_token_id

    def _harmless(self, question: str) -> str:
        """The question with a space inside every special token it spells: `<image>` in a question is no image."""
        text = question.strip()
        for token in sorted(self.tokenizer.get_added_vocab(), key=len, reverse=True):
            if len(token) > 1:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text


def _template_of(folder: Path) -> str | None:
    """The chat template of a processor, which older checkpoints keep in a file of its own."""
    file = folder / "chat_template.json"
    if not file.is_file():
        return None
    try:
        template = json.loads(file.read_text(encoding="utf-8"))["chat_template"]
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"is not a chat template: {error!r}", file=file) from error
    return str(template)
