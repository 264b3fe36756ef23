"""What a benchmark works with: the selectors asked for, and the model, run and pages that they need."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinpoint_data.errors import UsageError
from training.backbones import OcrGrid
from training.backbones.base import Backbone
from training.checkpoint import Run
from training.features import open_features
from training.opening import open_run
from training.pages.store import PageStore
from training.selectors import ModelSource, Need, Selector, SignalSource, make_selector, selector_names

if TYPE_CHECKING:
    from training.backbones.vlm import VlmBackbone
    from training.vlm.clip_space import ClipSpace

_REMEDIES: dict[Need, str] = {
    "shared": "use a backbone whose visual and question tokens share a space",
    "vision": "name a vision-language model (--model)",
    "clip": "name the CLIP model of the tower (--clip), with a LLaVA-NeXT --model",
    "decoder": "name a vision-language model (--model)",
    "words": "take the workspace's words (pinpoint words)",
    "pixels": "",
    "run": "name a trained RUN",
    "evidence": "",
}
_LEAVE_OUT = "leave out --cache"
_UNCACHED: frozenset[Need] = frozenset({"vision", "clip", "decoder"})
"""What a feature cache, which holds visual tokens alone, cannot give of the model they came from."""


@dataclass
class ChosenSelectors:
    """The selectors of a benchmark.

    Attributes:
        made: By the name that they were asked for under.
        options: Those that were given, by the same name.
        unavailable: Selectors that were not asked for by name and cannot run here, with the reason.
        named: Whether they were asked for by name, so that none may be left out.
    """

    made: dict[str, Selector] = field(default_factory=dict)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    named: bool = False

    @property
    def needs(self) -> frozenset[Need]:
        """What all of them need together."""
        return frozenset().union(*(selector.needs for selector in self.made.values()))

    def keep_offered(self, offers: Collection[Need], *, cached: bool = False) -> None:
        """Leave out those whose needs are not met.

        Args:
            offers: What is to be had.
            cached: Whether the tokens of a model come from a feature cache.

        Raises:
            UsageError: One of them was asked for by name, or none is left.
        """
        for name, selector in list(self.made.items()):
            lacking = [need for need in sorted(selector.needs) if need not in offers]
            if not lacking:
                continue
            remedies = (_LEAVE_OUT if cached and need in _UNCACHED else _REMEDIES[need] for need in lacking)
            remedy = "; ".join(dict.fromkeys(filter(None, remedies)))
            if self.named:
                raise UsageError(f"selector {name!r} needs {', '.join(lacking)}", remedy=remedy)
            self.unavailable[name] = f"needs {', '.join(lacking)}: {remedy}"
            del self.made[name]
        if not self.made:
            raise UsageError("no selector is left to compare")


def choose_selectors(names: Sequence[str], options: Mapping[str, Mapping[str, Any]]) -> ChosenSelectors:
    """Make the selectors of these names, or all that are registered.

    Args:
        names: Registered names, or `package.module:attribute`; none for all registered ones.
        options: Of some of them, by name.

    Raises:
        UsageError: No such selector, options it does not take, options of one that is not asked for, or one name twice.
    """
    chosen = ChosenSelectors(named=bool(names))
    wanted = list(names) or selector_names()
    if len(set(wanted)) < len(wanted):
        raise UsageError(f"selectors must be different ones, got {', '.join(wanted)}")
    if foreign := [name for name in options if name not in wanted]:
        raise UsageError(f"options are given for {foreign[0]!r}, which is not among the selectors")
    for name in wanted:
        own = dict(options.get(name, {}))
        try:
            chosen.made[name] = make_selector(name, own)
        except UsageError as error:
            if chosen.named or own:
                raise
            chosen.unavailable[name] = f"{error.message}: {error.remedy}" if error.remedy else error.message
        else:
            chosen.options[name] = own
    shown = [selector.name for selector in chosen.made.values()]
    if twice := {name for name in shown if shown.count(name) > 1}:
        raise UsageError(f"two selectors are named {min(twice)!r}; give one of them another name")
    return chosen


@dataclass(frozen=True)
class ModelOptions:
    """A vision-language model and how it is opened.

    Attributes:
        model: Folder or hub name.
        revision: Branch, tag or commit on the hub.
        dtype: Of its weights.
        device: Where it runs.
        max_pixels: The most pixels it encodes a page with (Qwen-VL).
        clip: Folder of a CLIP model, for LLaVA-NeXT.
    """

    model: str | None = None
    revision: str | None = None
    dtype: str | None = None
    device: str | None = None
    max_pixels: int | None = None
    clip: Path | None = None

    def given(self) -> dict[str, Any]:
        """Options of `open_model` that were given."""
        own = {"revision": self.revision, "dtype": self.dtype, "device": self.device, "max_pixels": self.max_pixels}
        return {name: value for name, value in own.items() if value is not None}


def open_backbone(run: Path | None, options: ModelOptions, *, language: bool) -> tuple[Backbone, Run | None]:
    """Whose tokens are selected: the run's backbone, a vision-language model, or the embedded backbone.

    Args:
        run: Folder of a trained run; its grid and its settings are then everybody's.
        options: The model, where it lies or how it is opened.
        language: Whether the language model is wanted too.

    Raises:
        UsageError: Options of a model without one.
        TrainingError: The run or the model cannot be opened.
    """
    if run is not None:
        return _of_run(run, options, language=language)
    if options.model is not None:
        from training.backbones.vlm import VlmBackbone
        from training.devices import find_device
        from training.vlm import open_model

        given = options.given()
        if "device" in given:
            given["device"] = str(find_device(given["device"]))
        model = open_model(options.model, **given, language=language)
        return VlmBackbone("llava-next" if model.family == "llava-next" else "qwen2-vl", model), None
    if options.given() or options.clip:
        raise UsageError(
            "dtype, device, max_pixels, revision and clip belong to a model", remedy="name it with --model"
        )
    return OcrGrid(), None


def _of_run(folder: Path, options: ModelOptions, *, language: bool) -> tuple[Backbone, Run]:
    if refused := sorted(options.given().keys() & {"revision", "dtype", "max_pixels"}):
        raise UsageError(f"{', '.join(refused)}: a run has its own, which decides what its tokens are", file=folder)
    opened = open_run(folder, options.model, options.device, {"language": True} if language else None)
    return opened.backbone, opened


def open_source(
    stack: ExitStack,
    backbone: Backbone,
    store: PageStore,
    *,
    run: Run | None,
    options: ModelOptions,
    cache: Path | None,
    seed: int,
    needs: Collection[Need],
) -> SignalSource:
    """Where tokens and signals come from.

    Args:
        stack: Closes what is opened here.
        backbone: Whose tokens.
        store: The pages.
        run: A trained run on that backbone.
        options: For the CLIP model.
        cache: Feature cache to read tokens from.
        seed: Of whatever is random.
        needs: What the selectors need.

    Raises:
        UsageError: A CLIP model beside another tower than LLaVA-NeXT's, or beside a cache.
    """
    tokens = None if cache is None else stack.enter_context(open_features(cache, backbone, store))
    clip = _clip(options.clip, backbone, cached=cache is not None)
    model = _model_of(backbone)
    if model is None:
        return SignalSource(backbone, cache=tokens, run=run, seed=seed)
    if tokens is None:
        return ModelSource(model, run=run, clip=clip, seed=seed, needs=needs)
    source = SignalSource(backbone, cache=tokens, run=run, seed=seed)
    source.shared_dim = backbone.token_dim  # both are what the language model reads
    return source


def _model_of(backbone: Backbone) -> VlmBackbone | None:
    """The backbone, if it is one on a vision-language model."""
    if backbone.reads_words:
        return None  # transformers, which takes seconds to import, is not needed to know that
    from training.backbones.vlm import VlmBackbone

    return backbone if isinstance(backbone, VlmBackbone) else None


def _clip(folder: Path | None, backbone: Backbone, *, cached: bool) -> ClipSpace | None:
    if folder is None:
        return None
    model = _model_of(backbone)
    if model is None or model.name != "llava-next":
        raise UsageError("a CLIP model belongs to LLaVA-NeXT, whose vision tower it is", file=folder)
    if cached:
        raise UsageError("--clip reads the vision tower's patches, which a feature cache has not got", file=folder)
    from training.vlm.clip_space import ClipSpace

    return ClipSpace(folder, device=model.model.device)
