"""From a dataset folder, a workspace and settings to a run that can be trained: new or resumed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from loaders.samples import load_samples
from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.workspace import Workspace
from training.backbones import make_backbone
from training.backbones.base import Backbone
from training.checkpoint import STATE_FILE, read_run_config, refuse_overwriting, write_run_config
from training.config import TrainConfig
from training.data import Example, TrainingData, label_samples, split_by_document
from training.fit import Trainer, available_threads
from training.geometry import Geometries
from training.page_cache import PageCache
from training.pages import PageStore


def new_run(
    folder: Path, dataset: Path, workspace: Path, config: TrainConfig, sources: Sequence[str] | None = None
) -> Trainer:
    """Read the data and make the folder of a new run.

    Args:
        folder: The run's folder; not there yet, or empty.
        dataset: A published dataset.
        workspace: The workspace it was published from: words and pixels.
        config: Settings.
        sources: Sources of the dataset to learn from, all by default.

    Raises:
        UsageError: The folder is taken, or the dataset has no such source.
        TrainingError: There is nothing to learn from, or the workspace does not fit the dataset.
    """
    refuse_overwriting(folder)
    threads = config.fit.threads or available_threads()
    config = config.model_copy(update={"fit": config.fit.model_copy(update={"threads": threads})})
    backbone = make_backbone(config.backbone.name, config.backbone.options)
    data, geometries, cache = _read(dataset, workspace, config, backbone, sources)
    described = {
        "dataset": dataset.resolve().name,
        "sources": None if sources is None else list(sources),
        "fingerprint": data.fingerprint(),
        "counts": data.counts(),
    }
    write_run_config(folder, config, backbone, described, data.documents())
    return Trainer(folder, config, data, geometries, cache)


def resume_run(folder: Path, dataset: Path, workspace: Path) -> Trainer:
    """Take up an unfinished run where it was saved, with its own settings and sources.

    Raises:
        UsageError: There is no unfinished run in the folder.
        TrainingError: The data are not those that the run was started with, or the state cannot be used.
    """
    config, backbone, described = read_run_config(folder)
    if not (folder / STATE_FILE).is_file():
        raise UsageError(f"has no {STATE_FILE}: there is nothing to resume", file=folder)
    recorded: dict[str, Any] = described["data"]
    data, geometries, cache = _read(dataset, workspace, config, backbone, recorded["sources"])
    if data.fingerprint() != recorded["fingerprint"]:
        raise TrainingError(
            "questions, labels or documents are not those that the run was started with",
            file=dataset,
            remedy="resume with the same dataset, or start a new run",
        )
    trainer = Trainer(folder, config, data, geometries, cache)
    trainer.load_state()
    return trainer


def _read(
    dataset: Path, workspace: Path, config: TrainConfig, backbone: Backbone, sources: Sequence[str] | None
) -> tuple[TrainingData, Geometries, PageCache]:
    store = PageStore(Workspace.open(workspace))
    if backbone.reads_words and not store.has_words:
        raise TrainingError(
            f"has no words, which {backbone.name} lives on", file=workspace, remedy="run pinpoint words"
        )
    geometries = Geometries(backbone, config.windows.spec())
    examples, left_out = label_samples(load_samples(dataset, sources), geometries, config.labels.rule())
    _check_pages(examples, store)
    data = split_by_document(examples, config.data)
    data.left_out.update(left_out)
    return data, geometries, PageCache(backbone, store, config.fit.cache_mb * 2**20)


def _check_pages(examples: Iterable[Example], store: PageStore) -> None:
    for example in examples:
        for page_id, size in zip(example.pages, example.sizes, strict=True):
            row = store.row(page_id)
            found = (row["width"], row["height"])
            if found != size:
                raise TrainingError(
                    f"width and height are {found} pixels in the workspace, {size} in the dataset",
                    record=f"page {page_id}",
                    remedy="publish the dataset from this workspace again",
                )
