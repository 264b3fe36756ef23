"""`pinpoint train`: learn an aligner from a published dataset."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import filelock

from pinpoint_data.console import emit, json_option
from pinpoint_data.errors import UsageError
from training.commands.opening import model_option, model_setting

if TYPE_CHECKING:
    from training.fitting.fit import Trainer

_SMOOTH = 0.9


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--dataset",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    required=True,
    help="Published dataset folder.",
)
@click.option(
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    required=True,
    help="Workspace with the words and pages of the dataset.",
)
@click.option(
    "--config",
    metavar="FILE|RECIPE",
    help="Settings as TOML, or the name of a recipe (ocr-grid, llava-next, qwen2-vl).  [default: ocr-grid]",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting; may be repeated.")
@click.option("--source", "sources", multiple=True, help="Source to learn from; may be repeated. Default: all.")
@click.option(
    "--cache",
    default="none",
    show_default=True,
    metavar="DIR|none",
    help="Feature cache made by pinpoint features; none: pages are encoded on the fly.",
)
@click.option("--resume", is_flag=True, help="Go on with an interrupted run, with its own settings and sources.")
@model_option
@json_option
def train(
    run: Path,
    dataset: Path,
    workspace: Path,
    config: str | None,
    settings: tuple[str, ...],
    sources: tuple[str, ...],
    cache: str,
    resume: bool,
    model: str | None,
    as_json: bool,
) -> None:
    """Train the aligner in the new folder RUN.

    Questions with gold boxes are split by document into a part to learn from and a part to watch; the weights of the
    best epoch are kept. Ctrl-C saves; the same command with --resume goes on, to the same weights as if it had never
    stopped. RUN is a folder that stands alone: settings, weights, metrics and a model card. Under torchrun all
    processes train one run: the same steps as one process, up to rounding.

    \b
    Examples:
      pinpoint train runs/first --dataset dataset --workspace ws --set epochs=10
      torchrun --nproc-per-node 8 -m pinpoint_data train runs/second --config qwen2-vl --cache features \\
        --dataset dataset --workspace ws
    """
    if resume and (config or settings or sources):
        raise UsageError("--resume keeps the run's own settings and sources; leave out --config, --set and --source")
    from training.checkpoint import is_finished
    from training.config import load_config
    from training.fitting.distributed import open_world
    from training.fitting.start import new_run, resume_run

    features = None if cache == "none" else Path(cache)
    with open_world() as world, _alone(run) if world.is_main else nullcontext():
        if resume and is_finished(run):  # a job that is started again and again ends well
            if world.is_main:
                said = f"{run}: finished earlier, nothing to resume"
                emit({"run": str(run), "finished": True}, said, as_json=as_json)
            return
        if resume:
            trainer = resume_run(run, dataset, workspace, features=features, model=model, world=world)
        else:
            chosen = load_config(config, [*settings, *model_setting(model)])
            trainer = new_run(run, dataset, workspace, chosen, sources or None, features=features, world=world)
        if world.is_main:
            click.echo(_opening(trainer), err=True)
        started = time.monotonic()
        stopped_by = _fit(trainer)
        seconds = time.monotonic() - started
        if stopped_by is not None and world.is_main:
            click.echo(_stopped(trainer, stopped_by, dataset, workspace, cache, model), err=True)
        elif world.is_main:
            emit(_payload(trainer, run, seconds), _closing(trainer, run, seconds), as_json=as_json)
    if stopped_by is not None:
        raise SystemExit(128 + stopped_by)


def _stopped(trainer: Trainer, stopped_by: int, dataset: Path, workspace: Path, cache: str, model: str | None) -> str:
    command = ["pinpoint", "train", str(trainer.folder), "--dataset", str(dataset), "--workspace", str(workspace)]
    if trainer.world.size > 1:
        command[:1] = ["torchrun", "--nproc-per-node", str(trainer.world.local_size), "-m", "pinpoint_data"]
    if cache != "none":
        command += ["--cache", cache]
    if model:
        command += ["--model", model]
    name = signal.Signals(stopped_by).name
    line = shlex.join([*command, "--resume"])
    return f"{name}: stopped after step {trainer.step:,}, state saved. Go on with:\n  {line}"


@contextmanager
def _alone(run: Path) -> Iterator[None]:
    """Hold a lock beside the run's folder; two commands would mix their states."""
    run.parent.mkdir(parents=True, exist_ok=True)
    beside = run.parent / f".{run.name}.lock"
    guard = filelock.FileLock(beside, timeout=0)
    try:
        guard.acquire()
    except filelock.Timeout as error:
        raise UsageError("is being trained by another command", file=run, remedy="wait for it to end") from error
    try:
        yield
    finally:
        guard.release()
        beside.unlink(missing_ok=True)


def _fit(trainer: Trainer) -> int | None:
    from training.fitting.fit import fit

    pace: float | None = None

    def report(record: dict[str, Any]) -> None:
        nonlocal pace
        if record["kind"] == "step":
            pace = record["ms"] if pace is None else _SMOOTH * pace + (1 - _SMOOTH) * record["ms"]
            click.echo(_step_line(record, trainer.total_steps, pace), err=True)
        else:
            click.echo(_epoch_line(record), err=True)

    return fit(trainer, report)


def _step_line(record: dict[str, Any], total: int, pace_ms: float) -> str:
    left = (total - record["step"]) * pace_ms / 1e3
    rate = record["questions"] / record["ms"] * 1e3
    without = f"  {record['without_intra']} without intra" if record["without_intra"] else ""
    return (
        f"step {record['step']:>{len(str(total))}}/{total}  epoch {record['epoch']}  loss {record['loss']:.4f}  "
        f"inter {record['inter']:.4f}  intra {record['intra']:.4f}  t {record['temperature']:.4f}  "
        f"{record['ms']:.0f} ms  {rate:.0f} samples/s  {int(left // 60)}:{int(left % 60):02d} left{without}"
    )


def _epoch_line(record: dict[str, Any]) -> str:
    scores = "  ".join(f"{name} {value:.4f}" for name, value in record["validation"].items()) or "no validation part"
    return f"epoch {record['epoch']} done  {scores}  {record['seconds']:.1f} s{'  best' if record['best'] else ''}"


def _opening(trainer: Trainer) -> str:
    data = trainer.data
    left_out = "".join(f"; left out, {reason}: {number:,}" for reason, number in sorted(data.left_out.items()))
    return (
        f"{len(data.train):,} questions to learn from, {len(data.validation):,} to watch{left_out}; "
        f"steps {trainer.step:,} to {trainer.total_steps:,}"
    )


def _payload(trainer: Trainer, run: Path, seconds: float) -> dict[str, Any]:
    return {
        "run": str(run),
        "steps": trainer.total_steps,
        "epochs": trainer.config.fit.epochs,
        "best": trainer.best,
        "data": trainer.data.counts(),
        "seconds": seconds,
    }


def _closing(trainer: Trainer, run: Path, seconds: float) -> str:
    best = trainer.best or {"epoch": trainer.config.fit.epochs, "validation": {}}
    scores = ", ".join(f"{name} {value:.3f}" for name, value in best["validation"].items()) or "no validation part"
    return f"{run}: {trainer.total_steps:,} steps in {seconds:.0f} s; kept epoch {best['epoch']} ({scores})"
