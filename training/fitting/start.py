"""From a dataset folder, a workspace and settings to a run that can be trained: new or resumed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from loaders.samples import load_samples
from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.workspace import Workspace
from training.backbones import make_backbone
from training.backbones.base import Backbone
from training.checkpoint import (
    CONFIG_FILE,
    STATE_FILE,
    is_finished,
    read_run_config,
    read_settings,
    refuse_overwriting,
    write_run_config,
)
from training.config import TrainConfig
from training.fitting.data import TrainingData, label_samples, split_by_document
from training.fitting.distributed import World
from training.fitting.fit import Trainer
from training.fitting.numerics import available_threads
from training.pages.cache import PageCache, PageTokens
from training.pages.geometry import Geometries
from training.pages.store import PageStore


def new_run(
    folder: Path,
    dataset: Path,
    workspace: Path,
    config: TrainConfig,
    sources: Sequence[str] | None = None,
    *,
    features: Path | None = None,
    world: World | None = None,
) -> Trainer:
    """Read the data and make the folder of a new run.

    Args:
        folder: The run's folder; not there yet, or empty.
        dataset: A published dataset.
        workspace: The workspace it was published from: words and pixels.
        config: Settings.
        sources: Sources of the dataset to learn from, all by default.
        features: Feature cache with the tokens of all pages; without one they are encoded as they are needed.
        world: The processes that train the run together; the main one makes the folder.

    Raises:
        UsageError: The folder is taken, the dataset has no such source, or `fit.device` is not there.
        TrainingError: There is nothing to learn from, or the workspace or the feature cache does not fit.
    """
    world = world or World()
    if world.is_main:
        refuse_overwriting(folder)
    world.device(config.fit.device)  # before the backbone chooses one
    threads = config.fit.threads or max(1, available_threads() // world.local_size)
    settled = config.fit.model_copy(update={"threads": threads})
    config = config.model_copy(update={"fit": settled, "backbone": config.backbone.settled()})
    backbone = make_backbone(config.backbone.name, config.backbone.options)
    data, geometries, cache = _read(dataset, workspace, config, backbone, sources, features)
    described = {
        "dataset": dataset.resolve().name,
        "sources": None if sources is None else list(sources),
        "fingerprint": data.fingerprint(),
        "counts": data.counts(),
    }
    _check_same(dataset, data, world)
    if world.is_main:
        write_run_config(folder, config, backbone, described, data.documents())
    return Trainer(folder, config, data, geometries, cache, world)


def resume_run(
    folder: Path,
    dataset: Path,
    workspace: Path,
    *,
    features: Path | None = None,
    model: str | None = None,
    world: World | None = None,
) -> Trainer:
    """Take up an unfinished run where it was saved, with its own settings and sources.

    One that was killed before its first state was saved begins at step 0. The number of processes, and where tokens
    come from, may differ from those the run was started with.

    Args:
        folder: The run's folder.
        dataset: The dataset it was started with, or an equal one.
        workspace: The workspace that the dataset was published from.
        features: See `new_run`.
        model: Where the run's vision-language model lies now; where it was at the start by default.
        world: See `new_run`.

    Raises:
        UsageError: The run is finished, or `fit.device` is not there.
        TrainingError: The data are not those that the run was started with, or the state cannot be used.
    """
    world = world or World()
    world.device(read_settings(folder)[0].fit.device)  # before the backbone chooses one
    config, backbone, described = read_run_config(folder, {} if model is None else {"model": model})
    if is_finished(folder):
        raise UsageError(f"has its weights and no {STATE_FILE}: there is nothing to resume", file=folder)
    recorded: dict[str, Any] = described["data"]
    sources = recorded.get("sources")
    if sources is not None and not (isinstance(sources, list) and all(isinstance(name, str) for name in sources)):
        raise TrainingError("names no sources of its data", file=folder / CONFIG_FILE)
    data, geometries, cache = _read(dataset, workspace, config, backbone, sources, features)
    if data.fingerprint() != recorded.get("fingerprint"):
        raise TrainingError(
            "questions, labels or documents are not those that the run was started with",
            file=dataset,
            remedy="resume with the same dataset, or start a new run",
        )
    trainer = Trainer(folder, config, data, geometries, cache, world)
    if (folder / STATE_FILE).is_file():
        trainer.load_state()
    return trainer


def _check_same(dataset: Path, data: TrainingData, world: World) -> None:
    """All processes must draw the same batches, and on several machines each reads a copy of its own."""
    number = int(data.fingerprint()[:12], 16)
    if int(world.sum_(torch.tensor(number))) != world.size * number:
        raise TrainingError(
            "the processes of this run do not read the same questions",
            file=dataset,
            remedy="give every machine the same copy of the dataset",
        )


def _read(
    dataset: Path,
    workspace: Path,
    config: TrainConfig,
    backbone: Backbone,
    sources: Sequence[str] | None,
    features: Path | None,
) -> tuple[TrainingData, Geometries, PageTokens]:
    store = PageStore.of_backbone(Workspace.open(workspace), backbone)
    geometries = Geometries(backbone, config.windows.spec())
    examples, left_out = label_samples(load_samples(dataset, sources), geometries, config.labels.rule())
    for example in examples:
        for page_id, size in zip(example.pages, example.sizes, strict=True):
            store.check_size(page_id, size)
    data = split_by_document(examples, config.data)
    data.left_out.update(left_out)
    if features is None:
        return data, geometries, PageCache(backbone, store, config.fit.cache_mb * 2**20)
    from training.features import open_features

    reader = open_features(features, backbone, store)
    reader.require(page_id for example in (*data.train, *data.validation) for page_id in example.pages)
    return data, geometries, reader
