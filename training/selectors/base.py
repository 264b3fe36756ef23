"""What a token selector sees and returns, and the registry of selectors by name.

A selector keeps some of the visual tokens of a question's pages. One from outside is ten lines:

    class TopOfPage(Selector):
        name = "top-of-page"

        def select(self, sample, budgets):
            y = np.concatenate([page.grid.token_xyxy()[:, 1] / page.page_input.height for page in sample.pages])
            return sample.keep_top(-y, budgets)

    register_selector("top-of-page", TopOfPage)
"""

from __future__ import annotations

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.ranking import BoolArray
from training.evaluation.intervals import FloatArray

if TYPE_CHECKING:
    from loaders.samples import Sample
    from training.pages.store import PageStore
    from training.selectors.sample import EncodedSample

Need = Literal["shared", "vision", "clip", "decoder", "words", "pixels", "run", "evidence"]
"""What a selector asks of a sample, beside visual tokens and question tokens:

    shared    visual and question tokens in one space, so that a cosine between them means something
    vision    attention and keys of the vision tower
    clip      CLIP's joint space of patches and text (LLaVA-NeXT with a CLIP model beside it)
    decoder   the language model's layers
    words     the pages' words
    pixels    the pages' images
    run       a trained run
    evidence  the gold boxes: an oracle
"""
NEEDS: tuple[Need, ...] = get_args(Need)


@dataclass(frozen=True, eq=False)
class DecoderLayers:
    """What is left of a question's visual tokens in each layer of the decoder.

    Attributes:
        starts: The layer that each set is first seen by, from 0, ascending; the first is 0.
        masks: The tokens (N,) from there on.
        n_layers: Of the decoder.
    """

    starts: tuple[int, ...]
    masks: tuple[BoolArray, ...]
    n_layers: int

    def __post_init__(self) -> None:
        ascending = all(start < later for start, later in pairwise((*self.starts, self.n_layers + 1)))
        if len(self.starts) != len(self.masks) or self.starts[:1] != (0,) or not ascending:
            raise TrainingError(
                f"decoder layers must start at 0 and ascend to {self.n_layers} at most, one mask each, "
                f"got {list(self.starts)} and {len(self.masks)} masks"
            )

    @property
    def weights(self) -> FloatArray:
        """(stages,): the share of all layers that sees each set; they sum to 1."""
        ends = [*self.starts[1:], self.n_layers]
        found: FloatArray = np.subtract(ends, self.starts) / self.n_layers
        return found

    @property
    def budget(self) -> float:
        """Share of the tokens that a layer sees on average, sum_l n_l / (L N)."""
        return float(self.weights @ [mask.mean() for mask in self.masks])


@dataclass(frozen=True, eq=False)
class Kept:
    """The tokens that a selector keeps at one budget, over the N tokens of all pages end to end.

    Attributes:
        mask: (N,) the tokens that are left in the end; those merged into others are not among them.
        scores: (N,) what ranks every token, where the selector takes the best ones of a ranking: higher is better.
            None where it chooses a set.
        layers: What each layer of the decoder sees, for a selector that works there. None: all see `mask`.
        merged: (N,) tokens whose content lives on in kept ones, where the method merges.
        flops: Operations of the choice itself, signals apart.
    """

    mask: BoolArray
    scores: FloatArray | None = None
    layers: DecoderLayers | None = None
    merged: BoolArray | None = None
    flops: float = 0.0


class Selector(ABC):
    """Keeps the visual tokens that matter, by its own lights.

    Attributes:
        name: How tables call it.
        needs: What it asks of a sample; where that is not to be had, it is left out.
        reads_question: Whether the question matters. One that is blind keeps the same for every question over the
            same pages, and is asked once.
        keeps_tokens: False where all tokens leave the decoder in the end, so that there is no set to answer from.
        version: Goes up whenever it would keep other tokens: figures of another version are not used again.
    """

    name: str
    needs: frozenset[Need] = frozenset()
    reads_question: bool = True
    keeps_tokens: ClassVar[bool] = True
    version: ClassVar[int] = 1

    def identity(self) -> dict[str, Any]:
        """JSON-ready: what its choices depend on beside name, version and options, such as the content of a file."""
        return {}

    def warnings(self, samples: Sequence[Sample], store: PageStore) -> list[str]:
        """What a reader must know of its figures over these questions and their pages."""
        return []

    @abstractmethod
    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """What it keeps at each budget.

        Args:
            sample: A question, its pages and their tokens, and whatever `needs` names.
            budgets: Tokens that may be kept, each at least 1 and at most `sample.n_tokens`.

        Returns:
            One entry a budget, none with more tokens than it allows.
        """


_FACTORIES: dict[str, Callable[..., Selector] | str] = {}


def register_selector(name: str, factory: Callable[..., Selector] | str) -> None:
    """Make a selector known by name.

    Args:
        name: What the command line calls it.
        factory: Makes it from its options; or where that is, `package.module:attribute`, imported when first needed.

    Raises:
        UsageError: The name is taken by another factory.
    """
    if _FACTORIES.get(name, factory) != factory:
        raise UsageError(f"a selector named {name!r} is registered already")
    _FACTORIES[name] = factory


def selector_names() -> list[str]:
    """The registered names, in order of registration."""
    return list(_FACTORIES)


def make_selector(name: str, options: Mapping[str, Any] | None = None) -> Selector:
    """The selector of a registered name, or of `package.module:attribute`, made with `options`.

    Raises:
        UsageError: No such name, options it does not take, or what it makes is no selector that can be told apart and
            asked: its name and its needs.
    """
    found = _FACTORIES.get(name) or (name if ":" in name else None)
    if found is None:
        raise UsageError(f"no selector {name!r}; expected one of {', '.join(_FACTORIES)}, or package.module:attribute")
    try:
        factory = _imported(found) if isinstance(found, str) else found
        selector = factory(**(options or {}))
    except TypeError as error:
        raise UsageError(f"selector {name!r} does not take these options: {error}") from error
    except BaseException as error:
        error.add_note(f"selector {name!r}")
        raise
    if not isinstance(selector, Selector):
        raise UsageError(f"{name!r} made a {type(selector).__name__}, which is no Selector")
    shown = getattr(selector, "name", None)
    # It becomes a row of tables, a label of drawings and part of score names: one line that any file can hold.
    if not (isinstance(shown, str) and shown.strip() and shown.isprintable()):
        raise UsageError(f"selector {name!r} must have a name of one line of printable text, got {shown!r}")
    if unknown := sorted(map(str, set(selector.needs) - set(NEEDS))):
        raise UsageError(f"selector {name!r} needs {unknown[0]!r}, which is none of {', '.join(NEEDS)}")
    return selector


def selector_about(name: str) -> str:
    """The first line about the selector of a registered name: of its class, or of the function that makes it.

    Raises:
        UsageError: It cannot be imported.
    """
    found = _FACTORIES[name]
    factory = _imported(found) if isinstance(found, str) else found
    return (factory.__doc__ or "").strip().partition("\n")[0]


def _imported(reference: str) -> Callable[..., Selector]:
    module, _, attribute = reference.partition(":")
    try:
        factory: Callable[..., Selector] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        remedy = f"is {module!r} installed, or its folder on PYTHONPATH?" if isinstance(error, ImportError) else None
        raise UsageError(f"selector {reference!r} cannot be imported: {error}", remedy=remedy) from error
    return factory


def checked_select(selector: Selector, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
    """What a selector keeps: of the right shapes, within the budgets, and the best tokens by its scores if it has some.

    Whatever else goes wrong in a selector carries a note of its name and the question.

    Raises:
        TrainingError: It is not.
    """
    try:
        kept = selector.select(sample, budgets)
        problem = _problem(kept, sample.n_tokens, budgets)
    except BaseException as error:
        error.add_note(f"selector {selector.name!r}, question {sample.question_id}")
        raise
    if problem is not None:
        raise TrainingError(f"selector {selector.name!r} {problem}", record=f"question {sample.question_id}")
    return kept


def _problem(kept: Sequence[Kept], n_tokens: int, budgets: Sequence[int]) -> str | None:
    """What is wrong with the selections of some budgets; None for nothing."""
    if len(kept) != len(budgets):
        return f"gave {len(kept)} selections for {len(budgets)} budgets"
    for found, budget in zip(kept, budgets, strict=True):
        masks = [found.mask, *(found.layers.masks if found.layers else ())]
        masks += [] if found.merged is None else [found.merged]
        if not all(isinstance(mask, np.ndarray) and mask.dtype == bool and mask.shape == (n_tokens,) for mask in masks):
            return f"must give NumPy masks of bool, shape ({n_tokens},)"
        if int(found.mask.sum()) > budget:
            return f"kept {int(found.mask.sum())} tokens of a budget of {budget}"
        if not (isinstance(found.flops, Real) and math.isfinite(found.flops)):
            return f"must count its operations as a finite number, got {found.flops!r}"
    return _ranking_problem(kept, n_tokens)


def _ranking_problem(kept: Sequence[Kept], n_tokens: int) -> str | None:
    """What is wrong with the scores of some selections: all are the top of one ranking, or none has scores."""
    ranking = kept[0].scores if kept else None
    if ranking is None:
        return None if all(own.scores is None for own in kept) else "must give the same scores at every budget, or none"
    if not isinstance(ranking, np.ndarray) or ranking.shape != (n_tokens,) or not np.isfinite(ranking).all():
        return f"must give one finite score a token, shape ({n_tokens},)"
    for own in kept:
        if own.scores is None or not np.array_equal(own.scores, ranking):
            return "must give the same scores at every budget, or none"
        if own.mask.any() and not own.mask.all() and ranking[own.mask].min() < ranking[~own.mask].max():
            return "kept a token and left out a better one by its own scores; a set that is no ranking has none"
    return None
