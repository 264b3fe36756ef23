"""Answerers from a run and a model, and where the model comes from when nobody names one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pinpoint_data.errors import UsageError
from training.answering.base import Answerer
from training.answering.encoded import PageEncoder
from training.answering.pinpoint import PinpointAnswerer
from training.answering.scoring import StageOne
from training.answering.vanilla import VanillaAnswerer
from training.backbones.vlm import VlmBackbone
from training.checkpoint import CONFIG_FILE, Run, load_run
from training.devices import find_device
from training.refinement import Refinement
from training.vlm import VisionLanguageModel, find_model, open_model


def make_answerers(
    run: Run | None,
    *,
    model: VisionLanguageModel | str | Path | None = None,
    coverages: Sequence[float] = (),
    vanilla: bool = True,
    max_new_tokens: int = 32,
    **options: Any,
) -> list[Answerer]:
    """The answerers to compare: the unchanged model first, then the run at each coverage.

    A page is encoded once for all of them, as long as it is remembered: ask all of them one question before the next.

    Args:
        run: Selects; None for the unchanged model alone.
        model: Answers: one that is open (with its language model), a folder or a hub name. None: the run's own.
        coverages: Shares of tokens to select, in (0, 1].
        vanilla: Include the unchanged model.
        max_new_tokens: The longest answer.
        options: Of `Refinement`, the same for every coverage.

    Raises:
        UsageError: Coverages without a run, no model to answer with, or an impossible option.
        TrainingError: The model cannot be opened.
    """
    if coverages and run is None:
        raise UsageError("a coverage needs a run that selects")
    try:
        refinement = Refinement(**options)
    except TypeError as error:
        raise UsageError(f"refinement does not take these options: {error}") from error
    opened = answering_model(run, model)
    encoder = PageEncoder(opened)
    answerers: list[Answerer] = []
    if vanilla:
        answerers.append(VanillaAnswerer(opened, max_new_tokens=max_new_tokens, encoder=encoder))
    if run is not None:
        stage_one = StageOne(run, encoder)
        answerers += [
            PinpointAnswerer(
                run,
                opened,
                coverage=coverage,
                refinement=refinement,
                max_new_tokens=max_new_tokens,
                stage_one=stage_one,
            )
            for coverage in coverages
        ]
    return answerers


def answering_model(
    run: Run | None, model: VisionLanguageModel | str | Path | None = None, **options: Any
) -> VisionLanguageModel:
    """The model that answers, with its language model; weights follow at first use.

    Args:
        run: The model of its backbone answers where no other is named, with the backbone's options.
        model: One that is open, a folder or a hub name.
        options: Of `open_model`; None as if not given.

    Raises:
        UsageError: There is no model that could answer, or no such device.
        TrainingError: The model cannot be opened.
    """
    if isinstance(model, VisionLanguageModel):
        if not model.language:
            raise UsageError("the model was opened without its language model, which answers need")
        return model
    given = {name: value for name, value in options.items() if value is not None}
    if "device" in given:
        given["device"] = str(find_device(given["device"]))
    own = run.backbone.model.source if run is not None and isinstance(run.backbone, VlmBackbone) else None
    if model is None and own is None:
        what = "no run is given" if run is None else f"the run's backbone {run.backbone.name} writes no text"
        raise UsageError(f"there is no model to answer with: {what}", remedy="name a vision-language model (--model)")
    if run is not None and own is not None and (model is None or _fingerprint(model, given) == own.fingerprint):
        # Device, precision and revision are the run's. How it looks at a page is not: a run may select on fewer pixels
        # or on LLaVA-NeXT's base view, and the model that answers still sees pages as it was made to.
        kept = run.config.backbone.options
        given = {name: kept[name] for name in kept.keys() - {"model", "view", "max_pixels"}} | given
        model = model or kept["model"]
    assert model is not None
    return open_model(model, **given, language=True)


def _fingerprint(model: str | Path, options: Mapping[str, Any]) -> str:
    return find_model(model, options.get("revision")).fingerprint


def load_run_for(folder: Path, model: str | None = None, device: str | None = None) -> Run:
    """A run beside an answering model: where they turn out to be the same model, the run looks for it there.

    Args:
        folder: The run.
        model: Of the answers; a folder or a hub name.
        device: Where to compute, for a run on a vision-language model.

    Raises:
        TrainingError: The run cannot be loaded, or there is no such model.
        UsageError: There is no such device.
    """
    recorded = _recorded_fingerprint(folder)
    options: dict[str, Any] = {}
    if recorded is not None and device is not None:
        options["device"] = str(find_device(device))
    if recorded is not None and model is not None and find_model(model).fingerprint == recorded:
        options["model"] = model
    return load_run(folder, options)


def _recorded_fingerprint(folder: Path) -> str | None:
    """Of the vision-language model that a run was trained on; None for other runs, and where `load_run` must judge."""
    try:
        fingerprint = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["backbone"]["options"][
            "fingerprint"
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return fingerprint if isinstance(fingerprint, str) else None
