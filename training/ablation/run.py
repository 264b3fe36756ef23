"""Ablations: the same training with one thing changed, each variant trained once and scored on the same questions.

OUT/<variant>         a run like any other, with its own `evaluation-validation/`
OUT/<variant>-seed1   the same from the second seed on
OUT/ablation.json     the table, and ablation.md
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from loaders.samples import load_samples
from pinpoint_data.errors import Outcome, PinpointError, Problem, TrainingError, UsageError
from training.checkpoint import METRICS_FILE, is_begun, is_finished, read_run_config
from training.config import TrainConfig, load_config
from training.evaluation.comparison import Evaluation
from training.evaluation.run import evaluate_dataset, write_evaluation
from training.fitting.data import label_samples, split_by_document
from training.fitting.fit import Report, fit
from training.fitting.metrics import read_metrics
from training.fitting.start import new_run, resume_run
from training.opening import open_run
from training.pages.geometry import Geometries

BASE = "base"
TABLE_FILES = ("ablation.json", "ablation.md")
BUDGETS = (0.10, 0.25, 0.40, 0.60, 0.80)
COVERAGES = (0.80, 0.60, 0.40, 0.25, 0.10)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SEED = re.compile(r".*-seed\d+")


@dataclass(frozen=True)
class Variant:
    """A change to a recipe.

    Attributes:
        name: Also the name of its folder.
        settings: As `key=value`, on top of the recipe.
    """

    name: str
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Places:
    """Where an ablation reads and writes.

    Attributes:
        out: Folder of the runs and the table.
        dataset: Published dataset.
        workspace: The workspace it was published from.
        features: Feature cache, or None.
        sources: Sources of the dataset, or None for all.
    """

    out: Path
    dataset: Path
    workspace: Path
    features: Path | None = None
    sources: tuple[str, ...] | None = None


@dataclass(frozen=True)
class VariantRun:
    """A variant trained from one seed, and scored.

    Attributes:
        variant: The variant's name.
        seed: Which of the seeds, from 0.
        config: Its settings.
        parameters: Of the aligner.
        seconds: Of its training steps and validations, also those of an earlier command.
        reused: Whether an earlier command had finished it.
        evaluation: Every score of every held-out question.
    """

    variant: str
    seed: int
    config: TrainConfig
    parameters: int
    seconds: float
    reused: bool
    evaluation: Evaluation


@dataclass
class Ablation:
    """What came of all variants.

    Attributes:
        runs: Those that were trained and scored, in order.
        outcome: Those that failed, by the name of their folder.
        stopped_by: Number of the signal that ended it early, or None.
    """

    runs: list[VariantRun] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)
    stopped_by: int | None = None


def load_variants(file: Path | None = None, only: Sequence[str] = ()) -> list[Variant]:
    """The variants of a TOML file: `name = ["key=value", ...]` under `[variants]`.

    Args:
        file: The file; the paper's ablations by default.
        only: Names of those wanted, all by default.

    Raises:
        UsageError: The file is missing or not of this form, or a name is unknown or no safe name of a folder.
    """
    path = file or Path(str(files("training") / "recipes" / "ablation" / "paper.toml"))
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot be read as TOML: {error}", file=path) from error
    table = found.get("variants")
    if not isinstance(table, dict) or not table or found.keys() != {"variants"}:
        raise UsageError('must hold one table [variants] of name = ["key=value", ...]', file=path)
    for name, settings in table.items():
        _check_name(name, path)
        if not isinstance(settings, list) or not all(isinstance(setting, str) for setting in settings):
            raise UsageError('must be a list of "key=value"', file=path, record=f"variant {name}")
    if len({name.lower() for name in table}) < len(table):
        raise UsageError("two variants have names that some systems take for one folder", file=path)
    if unknown := sorted(set(only) - set(table)):
        raise UsageError(f"has no variant {unknown[0]!r}; it has {', '.join(table)}", file=path)
    return [Variant(name, tuple(settings)) for name, settings in table.items() if not only or name in only]


def _check_name(name: str, path: Path) -> None:
    if not _NAME.fullmatch(name) or name.endswith("."):
        wanted = "letters, digits, '-', '_' and '.', at most 64, the first a letter or digit"
        raise UsageError(f"{name!r} is no name of a folder; expected {wanted}", file=path)
    if name.lower() in TABLE_FILES:
        raise UsageError(f"{name!r} is the name of a file that is written beside the runs", file=path)
    if _SEED.fullmatch(name):
        raise UsageError(f"{name!r} ends like the folder of a further seed; choose another name", file=path)


def run_ablation(
    variants: Sequence[Variant],
    places: Places,
    *,
    config: str | Path | None = None,
    settings: Sequence[str] = (),
    seeds: int = 1,
    say: Callable[[str], None] = lambda text: None,
    report: Report = lambda record: None,
) -> Ablation:
    """Train and score every variant; one that fails is listed, and the others go on.

    A finished run of an earlier call is taken as it is, an unfinished one resumed, as long as settings and data are the
    same.

    Args:
        variants: What to change.
        places: Where to read and write.
        config: The recipe that is ablated, a file or a name.
        settings: `key=value`, changes to the recipe that all variants share.
        seeds: Trainings of each variant, with `fit.seed` counted up from the recipe's.
        say: Told what is done next.
        report: Told every line of metrics.

    Raises:
        UsageError: The recipe or a variant's setting does not exist or does not fit.
    """
    planned = list(_plan(variants, config, settings, seeds))
    ablation = Ablation()
    for name, seed, wanted in planned:
        folder = places.out / (name if seed == 0 else f"{name}-seed{seed}")
        try:
            reused, stopped = _train(folder, wanted, places, say, report)
            if stopped is not None:
                ablation.stopped_by = stopped
                break
            ablation.runs.append(_score(name, seed, folder, reused, places))
        except (PinpointError, torch.OutOfMemoryError) as error:
            known = error if isinstance(error, PinpointError) else TrainingError("the GPU's memory is full")
            ablation.outcome.refuse(Problem("failed-variant", str(folder), folder.name, str(known)))
            say(f"{folder.name}: failed: {known}")
    return ablation


def _plan(
    variants: Sequence[Variant], config: str | Path | None, settings: Sequence[str], seeds: int
) -> Iterator[tuple[str, int, TrainConfig]]:
    for seed in range(seeds):
        for variant in variants:
            try:
                found = load_config(config, [*settings, *variant.settings])
            except UsageError as error:
                raise UsageError(error.message, file=error.file, record=f"variant {variant.name}") from error
            fit_config = found.fit.model_copy(update={"seed": found.fit.seed + seed})
            yield variant.name, seed, found.model_copy(update={"fit": fit_config})


def _train(
    folder: Path, config: TrainConfig, places: Places, say: Callable[[str], None], report: Report
) -> tuple[bool, int | None]:
    """Whether the run was finished already, and the signal that stopped its training."""
    begun, finished = is_begun(folder), is_finished(folder)
    if begun or finished:
        _check_same(folder, config, places, begun)
    if begun:
        say(f"{folder.name}: resumed")
        trainer = resume_run(folder, places.dataset, places.workspace, features=places.features)
    elif finished:
        say(f"{folder.name}: finished earlier")
        return True, None
    else:
        say(f"{folder.name}: training")
        trainer = new_run(folder, places.dataset, places.workspace, config, places.sources, features=places.features)
    return False, fit(trainer, report)


def _check_same(folder: Path, config: TrainConfig, places: Places, begun: bool) -> None:
    """Refuse a run of other settings or data: its scores would stand in the wrong row."""
    recorded, backbone, described = read_run_config(folder)
    # The number of threads is settled when a run starts, by the machine.
    same_threads = config.fit.model_copy(update={"threads": recorded.fit.threads})
    wanted = config.model_copy(update={"fit": same_threads, "backbone": config.backbone.settled()}).model_dump()
    different = [
        f"{section}.{name}"
        for section, values in recorded.model_dump().items()
        for name, value in values.items()
        if wanted[section][name] != value
    ]
    data = described["data"]
    if data["sources"] != (None if places.sources is None else list(places.sources)):
        different.append("--source")
    if different:
        raise TrainingError(
            f"holds a run with other settings ({', '.join(different)})", file=folder, remedy="name a new folder"
        )
    if begun:
        return  # checked when it is resumed
    geometries = Geometries(backbone, config.windows.spec())
    examples, _ = label_samples(load_samples(places.dataset, places.sources), geometries, config.labels.rule())
    if split_by_document(examples, config.data).fingerprint() != data["fingerprint"]:
        raise TrainingError("holds a run on other data", file=folder, remedy="name a new folder")


def _score(name: str, seed: int, folder: Path, reused: bool, places: Places) -> VariantRun:
    run = open_run(folder)
    found, summary = evaluate_dataset(
        places.dataset,
        places.workspace,
        run,
        sources=places.sources,
        ranker=None,
        baselines=False,
        budgets=BUDGETS,
        coverages=COVERAGES,
        cache=places.features,
    )
    write_evaluation(folder / "evaluation-validation", found, summary)
    parameters = sum(parameter.numel() for parameter in run.aligner.parameters())
    return VariantRun(name, seed, run.config, parameters, training_seconds(folder), reused, found)


def training_seconds(folder: Path) -> float:
    """What a run's steps and validations took, from its metrics."""
    seconds: list[float] = [_seconds(record) for record in read_metrics(folder / METRICS_FILE)]
    return sum(seconds)


def _seconds(record: dict[str, Any]) -> float:
    return float(record["ms"]) / 1e3 if record["kind"] == "step" else float(record["seconds"])
