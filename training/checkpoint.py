"""A trained run as a folder that stands alone, and back again in one line: `run = load_run("runs/x")`.

config.json           settings, backbone, dimensions, fingerprint of the data; fixed when the run starts
aligner.safetensors   the weights of the best epoch, bound to config.json by hash
documents.json        which documents were learnt from and which were held out
metrics.jsonl         one line a step, one an epoch
README.md             the model card
state.safetensors     only while the run is unfinished: what --resume goes on from
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pinpoint_data import __version__
from pinpoint_data.atomic import write_json
from pinpoint_data.errors import PinpointError, TrainingError, UsageError
from pinpoint_data.small_files import read_small_text
from pinpoint_data.windows import Windows, WindowSpec
from training.aligner.model import Aligner, window_tokens
from training.aligner.questions import encode_questions
from training.backbones import Backbone, EncodedPage, backbone_names, make_backbone, spec_differences
from training.config import BackboneConfig, TrainConfig, parse_config
from training.tensor_file import read_tensors, write_tensors

FORMAT = "pinpoint-run"
FORMAT_VERSION = 1
CONFIG_FILE, ALIGNER_FILE, DOCUMENTS_FILE = "config.json", "aligner.safetensors", "documents.json"
METRICS_FILE, CARD_FILE, STATE_FILE = "metrics.jsonl", "README.md", "state.safetensors"
_ALIGNER_KIND = "pinpoint-aligner"
TRUST_VARIABLE = "PINPOINT_TRUST"
"""Environment variable: packages, separated by commas, whose code a run's settings may name."""

_MODEL_REMEDY = 'name where the model lies now: --model FOLDER, or load_run(run, options={"model": "FOLDER"})'


@dataclass(frozen=True, eq=False)
class Run:
    """A trained aligner with the backbone it was trained on; on the CPU until `to` moves it.

    Attributes:
        path: Its folder.
        config: Settings it was trained with.
        backbone: Makes the tokens it expects.
        aligner: The weights of the best epoch.
        facts: Of that epoch: `step`, `epoch`, `validation` scores.
        documents: Document ids under `train` and `validation`.
        data: What it was trained on: sources, counts, fingerprint.
    """

    path: Path
    config: TrainConfig
    backbone: Backbone
    aligner: Aligner
    facts: dict[str, Any]
    documents: dict[str, list[str]]
    data: dict[str, Any]
    _encoded: WeakKeyDictionary[EncodedPage, tuple[Tensor, Tensor]] = field(default_factory=WeakKeyDictionary)

    @property
    def window_spec(self) -> WindowSpec:
        """The windows it was trained on."""
        return self.config.windows.spec()

    def to(self, device: torch.device | str) -> Run:
        """Move the aligner, in place; pages and questions of the backbone may be on any device."""
        self.aligner.to(device)
        self._encoded.clear()
        return self

    def score_windows(
        self, pages: Sequence[EncodedPage], windows: Sequence[Windows], question: str
    ) -> list[npt.NDArray[np.float64]]:
        """Similarity of every window with the question, -1 to 1, comparable across pages.

        A page's projection is kept as long as its `EncodedPage` lives, for the next question over it.

        Args:
            pages: The question's pages, encoded by `self.backbone`.
            windows: The windows of each page, w of them.
            question: The question alone.

        Returns:
            One (w,) array a page.
        """
        return self.score_windows_many(pages, windows, [question])[0]

    @torch.inference_mode()
    def score_windows_many(
        self, pages: Sequence[EncodedPage], windows: Sequence[Windows], questions: Sequence[str]
    ) -> list[list[npt.NDArray[np.float64]]]:
        """`score_windows` of several questions over the same pages, computed together.

        Returns:
            For each question one (w,) array a page.
        """
        if not questions:
            return []
        text = encode_questions(self.aligner, self.backbone, questions)
        columns = []
        for page, page_windows in zip(pages, windows, strict=True):
            if page not in self._encoded:
                self._encoded[page] = self.aligner.encode_page(page.tensor().to(self.aligner.device))
            index = window_tokens(page_windows.rows_cols, page.grid.cols).to(self.aligner.device)
            columns.append(self.aligner.score(self._encoded[page], [index], text).cpu().numpy().astype(np.float64))
        return [[page[row] for page in columns] for row in range(len(questions))]

    def save(self, folder: Path | str) -> None:
        """Write the run to a new folder that `load_run` opens.

        Raises:
            UsageError: The folder is there already and not empty.
        """
        folder = Path(folder)
        refuse_overwriting(folder)
        write_run_config(folder, self.config, self.backbone, self.data, self.documents)
        save_aligner(folder, self.aligner, self.facts)


def refuse_overwriting(folder: Path) -> None:
    """Refuse a folder that has something in it, other than what a run leaves that was killed while it was made.

    Raises:
        UsageError: It has, or it is a file.
    """
    if folder.exists() and not _is_free(folder):
        remedy = "go on with it by --resume, or name a new folder" if is_begun(folder) else "name a new folder"
        raise UsageError("is there already, and a run is never overwritten", file=folder, remedy=remedy)


def _is_free(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    names = {entry.name for entry in folder.iterdir()} - {f".{name}.tmp" for name in (DOCUMENTS_FILE, CONFIG_FILE)}
    if names != {DOCUMENTS_FILE}:
        return not names
    try:
        read_documents(folder)
    except TrainingError:
        return False
    return True


def is_begun(folder: Path) -> bool:
    """Whether there is a run to go on with; one that was killed before its first state was saved starts over."""
    return (folder / CONFIG_FILE).is_file() and not is_finished(folder)


def is_finished(folder: Path) -> bool:
    """Whether a run has come to its end: its weights are there, and no state from which it would go on."""
    return (folder / ALIGNER_FILE).is_file() and not (folder / STATE_FILE).is_file()


def make_aligner(config: TrainConfig, backbone: Backbone) -> Aligner:
    """The untrained aligner of a configuration; the seed decides its weights."""
    settings = config.aligner
    return Aligner(
        backbone.token_dim,
        backbone.question_dim,
        queries=settings.queries,
        width=settings.dim,
        hidden=settings.hidden,
        similarity=settings.similarity,
        shared_dim=backbone.shared_dim if settings.shared_start else 0,
        query_scale=settings.query_scale,
        normalise=settings.normalise,
        seed=config.fit.seed,
    )


def write_run_config(
    folder: Path, config: TrainConfig, backbone: Backbone, data: dict[str, Any], documents: dict[str, list[str]]
) -> None:
    """Write `documents.json`, then `config.json`, which makes it a run. They do not change for its life."""
    write_json(folder / DOCUMENTS_FILE, documents)
    described = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "program": f"pinpoint-data {__version__}",
        "torch": torch.__version__,
        "config": config.model_dump(mode="json"),
        "backbone": backbone.spec(),
        "data": data,
    }
    write_json(folder / CONFIG_FILE, described)


def read_settings(folder: Path) -> tuple[TrainConfig, dict[str, Any]]:
    """The configuration of a run, finished or not, and the whole of `config.json`; its backbone is left alone.

    Raises:
        TrainingError: The folder is no run, is damaged, or is newer than this program.
    """
    file = folder / CONFIG_FILE
    try:
        described = json.loads(read_small_text(file))
        version = described["format_version"] if described["format"] == FORMAT else None
        values = described["config"]
        if not all(isinstance(described[name], dict) for name in ("backbone", "config", "data")):
            raise TypeError("backbone, config and data must be objects")
    except FileNotFoundError as error:
        raise TrainingError(
            "is no run: it has no config.json", file=folder, remedy="make one: pinpoint train"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TrainingError(f"is not the config.json of a run: {error!r}", file=file) from error
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise TrainingError("is not the config.json of a run", file=file)
    if version > FORMAT_VERSION:
        raise TrainingError(
            f"run format {version} is newer than this program's {FORMAT_VERSION}",
            file=file,
            remedy="upgrade pinpoint-data",
        )
    try:
        return parse_config(values), described
    except PinpointError as error:
        raise TrainingError(error.message, file=file, remedy=error.remedy) from error


def read_run_config(
    folder: Path, options: Mapping[str, Any] | None = None
) -> tuple[TrainConfig, Backbone, dict[str, Any]]:
    """The configuration and the backbone of a run, finished or not, and the whole of `config.json`.

    Args:
        folder: The run.
        options: Backbone options in place of the recorded ones, such as where a model is now; the backbone must still
            describe itself as recorded, so they cannot change the tokens.

    Raises:
        TrainingError: The folder is no run, is damaged, is newer than this program, or its backbone cannot be made or
            would make other tokens here.
    """
    config, described = read_settings(folder)
    moved = config.backbone.model_copy(update={"options": {**config.backbone.options, **(options or {})}})
    backbone = _recorded_backbone(folder / CONFIG_FILE, moved)
    if differences := list(spec_differences(described["backbone"], backbone.spec())):
        raise TrainingError(
            f"the run was made with another backbone: {'; '.join(differences)}",
            file=folder / CONFIG_FILE,
            remedy="use the model, and the version of pinpoint-data, that made the run, or train again",
        )
    return config.model_copy(update={"backbone": moved}), backbone, described


def _recorded_backbone(file: Path, recorded: BackboneConfig) -> Backbone:
    """The backbone; a model is recorded by its folder, which may have moved, or by its name on the hub."""
    trusted = _trusted(file, recorded.name)
    model = recorded.options.get("model")
    named = isinstance(model, str) and not Path(model).expanduser().is_dir()
    try:
        if named and Path(str(model)).expanduser().is_absolute():
            raise TrainingError(f"there is no model folder {model} any more, whose tokens the run expects")
        return make_backbone(recorded.name, recorded.options, only_classes=not trusted)
    except PinpointError as error:
        remedy = "; ".join(filter(None, (error.remedy, _MODEL_REMEDY))) if named else error.remedy
        raise TrainingError(error.message, file=error.file or file, record=error.record, remedy=remedy) from error


def _trusted(file: Path, name: str) -> bool:
    """Whether the user trusts the code that a run names; what is imported already may be looked at at least.

    Raises:
        TrainingError: Only the run names it: importing it would run it, and runs come from strangers too.
    """
    package = name.partition(":")[0].partition(".")[0]
    trusted = package in map(str.strip, os.environ.get(TRUST_VARIABLE, "").split(","))
    if ":" in name and name not in backbone_names() and not trusted and package not in sys.modules:
        raise TrainingError(
            f"its backbone is code outside this program: {name}",
            file=file,
            remedy=f"if you trust the run and that code, set {TRUST_VARIABLE}={package}",
        )
    return trusted


def save_aligner(folder: Path, aligner: Aligner, facts: dict[str, Any]) -> None:
    """Write the weights, bound to the folder's `config.json`."""
    bound = {"config_sha256": config_digest(folder), **facts}
    write_tensors(folder / ALIGNER_FILE, _ALIGNER_KIND, aligner.state_dict(), bound)


def config_digest(folder: Path) -> str:
    """SHA-256 of the bytes of `config.json`."""
    return hashlib.sha256((folder / CONFIG_FILE).read_bytes()).hexdigest()


def run_identity(run: Run) -> dict[str, Any]:
    """What a run's selections depend on, JSON-ready: its settings, weights and backbone."""
    weights = hashlib.sha256((run.path / ALIGNER_FILE).read_bytes()).hexdigest()
    return {"config": config_digest(run.path), "aligner": weights, "backbone": run.backbone.spec()}


def load_run(path: Path | str, options: Mapping[str, Any] | None = None) -> Run:
    """Load a trained run.

    Args:
        path: Its folder.
        options: Backbone options in place of the recorded ones: `{"model": "/new/folder"}` for a model that has moved.

    Raises:
        TrainingError: The folder is no run, is unfinished before its first epoch, was altered, mixes files of two
            runs, or does not fit this program.
    """
    folder = Path(path)
    config, backbone, described = read_run_config(folder, options)
    if not (folder / ALIGNER_FILE).is_file():
        raise TrainingError(
            f"has no {ALIGNER_FILE}: no epoch of it was finished",
            file=folder,
            remedy="go on with pinpoint train --resume",
        )
    aligner = make_aligner(config, backbone)
    shapes = {name: tuple(tensor.shape) for name, tensor in aligner.state_dict().items()}
    tensors, facts = read_tensors(folder / ALIGNER_FILE, _ALIGNER_KIND, shapes)
    if facts.pop("config_sha256", None) != config_digest(folder):
        raise TrainingError(
            f"{CONFIG_FILE} is not the one that {ALIGNER_FILE} was trained with",
            file=folder,
            remedy="keep the files of a run together and unchanged",
        )
    if wrong := [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]:
        raise TrainingError(f"{wrong[0]} holds numbers that are not finite", file=folder / ALIGNER_FILE)
    aligner.load_state_dict(tensors)
    aligner.eval().requires_grad_(False)
    return Run(folder, config, backbone, aligner, facts, read_documents(folder), described["data"])


def read_documents(folder: Path) -> dict[str, list[str]]:
    """The documents that a training learnt from (`train`) and held out (`validation`), from `documents.json`.

    Raises:
        TrainingError: The file is missing or says something else.
    """
    file = folder / DOCUMENTS_FILE
    try:
        found = json.loads(read_small_text(file))
        return {side: [str(document) for document in found[side]] for side in ("train", "validation")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TrainingError(f"does not list the documents learnt from and held out: {error!r}", file=file) from error
