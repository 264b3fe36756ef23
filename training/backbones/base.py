"""What a backbone is: page and question in, visual tokens on a grid and question tokens out.

A backbone is any object with the attributes of `Backbone`; `register_backbone` makes it known by name, and
`package.module:Class` names one from outside.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.grids import TokenGrid
from training.pages.input import PageInput

FloatArray = npt.NDArray[np.float32]
Tokens = FloatArray | Tensor
"""Tokens (n, d): a float32 array, or a tensor of any floating-point type on any device."""


@dataclass(frozen=True, eq=False)
class EncodedPage:
    """Visual tokens of a page: `tokens` (N, d_v) in the raster order of `grid`, N = grid.n_tokens.

    Raises:
        TrainingError: The number of tokens is not the grid's.
    """

    grid: TokenGrid
    tokens: Tokens

    def __post_init__(self) -> None:
        if self.tokens.ndim != 2 or len(self.tokens) != self.grid.n_tokens:
            raise TrainingError(
                f"tokens must have shape ({self.grid.n_tokens}, d) on a grid of {self.grid.rows} x {self.grid.cols}, "
                f"got {tuple(self.tokens.shape)}"
            )

    def tensor(self) -> Tensor:
        """The tokens as a tensor; an array shares its memory."""
        return torch.as_tensor(self.tokens)


@runtime_checkable
class Backbone(Protocol):
    """Makes visual tokens and question tokens.

    Attributes:
        name: The registered name.
        token_dim: d_v.
        question_dim: d_t.
        shared_dim: Leading features that mean the same in visual tokens and question tokens; 0 where none do.
        reads_words: Whether it lives on the words of a page; one that does not is given pages without them.
    """

    name: str
    token_dim: int
    question_dim: int
    shared_dim: int
    reads_words: bool

    def grid(self, width: int, height: int) -> TokenGrid:
        """The grid of a page of this size; needs no pixels."""
        ...

    def encode_page(self, page: PageInput) -> EncodedPage:
        """Visual tokens (N, d_v), deterministic."""
        ...

    def encode_question(self, question: str) -> Tokens:
        """Question tokens (m, d_t), m >= 1: the question alone, no template and no system prompt."""
        ...

    def spec(self) -> dict[str, Any]:
        """JSON-ready `{"name", "version", "options"}`; equal specs mean equal tokens."""
        ...


@runtime_checkable
class BatchedBackbone(Backbone, Protocol):
    """A backbone that is faster on several pages at once."""

    def encode_pages(self, pages: Sequence[PageInput]) -> list[EncodedPage]:
        """What `encode_page` gives for each page, up to rounding; it forms batches that fit its memory itself."""
        ...


def encode_pages(backbone: Backbone, pages: Sequence[PageInput]) -> list[EncodedPage]:
    """The visual tokens of several pages, in batches where the backbone can."""
    if isinstance(backbone, BatchedBackbone):
        return backbone.encode_pages(pages)
    return [backbone.encode_page(page) for page in pages]


_ABSENT = object()


def spec_differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    """Where two specs differ, setting by setting: `options.dtype is "float16" there, "bfloat16" here`."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(there.keys() | here.keys()):
            place = f"{name}.{key}" if name else key
            yield from spec_differences(there.get(key, _ABSENT), here.get(key, _ABSENT), place)
    elif there != here:
        yield f"{name} is {_shown(there)} there, {_shown(here)} here"


def _shown(value: Any) -> str:
    return "not set" if value is _ABSENT else json.dumps(value)


_FACTORIES: dict[str, Callable[..., Backbone] | str] = {}
_METHODS = ("grid", "encode_page", "encode_question", "spec")


def register_backbone(name: str, factory: Callable[..., Backbone] | str) -> None:
    """Make a backbone known by name.

    Args:
        name: What settings call it.
        factory: Makes it from its options; or where that is, `package.module:attribute`, imported when first needed.

    Raises:
        UsageError: The name is taken by another factory.
    """
    if _FACTORIES.get(name, factory) != factory:
        raise UsageError(f"a backbone named {name!r} is registered already")
    _FACTORIES[name] = factory


def backbone_names() -> list[str]:
    """The registered names."""
    return list(_FACTORIES)


def make_backbone(name: str, options: Mapping[str, Any] | None = None, *, only_classes: bool = False) -> Backbone:
    """The backbone of a registered name, or of `package.module:attribute` (a class or function), made with `options`.

    Args:
        name: The name.
        options: What its factory takes.
        only_classes: Call nothing from outside but a class of backbones: a name that comes from a stranger must not
            call `subprocess:run` with fitting options to see what it makes.

    Raises:
        UsageError: No such name, no class of backbones, or the backbone does not take these options.
    """
    found = _FACTORIES.get(name) or (name if ":" in name else None)
    if found is None:
        known = ", ".join(_FACTORIES)
        raise UsageError(f"no backbone {name!r}; expected one of {known}, or package.module:attribute")
    factory = _imported(found) if isinstance(found, str) else found
    foreign = only_classes and name not in _FACTORIES
    if foreign and not all(callable(getattr(factory, method, None)) for method in _METHODS):
        raise UsageError(f"{name!r} is no backbone: it needs {', '.join(_METHODS)}")
    try:
        backbone = factory(**(options or {}))
    except TypeError as error:
        raise UsageError(f"backbone {name!r} does not take these options: {error}") from error
    if not isinstance(backbone, Backbone):
        raise UsageError(f"{name!r} made a {type(backbone).__name__}, which is no backbone")
    return backbone


def _imported(reference: str) -> Callable[..., Backbone]:
    module, _, attribute = reference.partition(":")
    try:
        factory: Callable[..., Backbone] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"backbone {reference!r} cannot be imported: {error}") from error
    return factory
