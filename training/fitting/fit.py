"""The training loop: one step, one epoch, the state in between, and the loop itself.

An interrupted run that is resumed gives the same bits as one that never stopped (on a CPU, with the same number of
threads and processes and the same torch): every draw is a function of seed and step, and the state holds weights,
moments and place. Several processes, or several passes for a step, give the same steps up to rounding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pinpoint_data.errors import TrainingError
from training.aligner.losses import PinpointLoss
from training.checkpoint import METRICS_FILE, STATE_FILE, config_digest, make_aligner, save_aligner
from training.config import FitConfig, TrainConfig
from training.fitting.batches import Batch, draw_batch, epoch_batches
from training.fitting.data import TrainingData
from training.fitting.distributed import World
from training.fitting.interrupt import stop_on_signals
from training.fitting.metrics import MetricsFile
from training.fitting.model_card import write_card
from training.fitting.numerics import available_threads, numerics
from training.fitting.step import loss_backward, split_batch
from training.fitting.watch import validate
from training.pages.cache import PageTokens
from training.pages.geometry import Geometries
from training.tensor_file import read_tensors, write_tensors

_STATE_KIND = "pinpoint-training-state"
Report = Callable[[dict[str, Any]], None]


class Trainer:
    """An unfinished run.

    Args:
        folder: The run's folder, with its `config.json`; written to by the main process alone.
        config: Settings; `fit.threads` is settled.
        data: Questions, the same in every process.
        geometries: Grids and windows by page size.
        cache: Visual tokens by page.
        world: The processes that train this run together.

    Attributes:
        device: Where the aligner is.
        step: Steps done.
        total_steps: Steps to do in all.
        steps_per_epoch: The last batch of an epoch may be smaller.
        best: The step, epoch and validation scores of the best epoch so far.

    Raises:
        UsageError: `fit.device` is not there.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainConfig,
        data: TrainingData,
        geometries: Geometries,
        cache: PageTokens,
        world: World | None = None,
    ) -> None:
        self.folder, self.config, self.data, self.geometries, self.cache = folder, config, data, geometries, cache
        self.backbone = cache.backbone
        self.world = world or World()
        fit, loss = config.fit, config.loss
        self.device = self.world.device(fit.device)
        self.aligner = make_aligner(config, self.backbone).to(self.device)
        self._freeze()
        self.aligner.compute_dtype = torch.bfloat16 if fit.precision == "bf16" else None
        self.criterion = PinpointLoss(loss.intra_weight, loss.temperature, inter_weight=loss.inter_weight)
        self.criterion.to(self.device)
        learnt = [*self.aligner.parameters(), *self.criterion.parameters()]
        self.parameters = [parameter for parameter in learnt if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=fit.learning_rate, weight_decay=fit.weight_decay)
        self.steps_per_epoch = math.ceil(len(data.train) / fit.batch)
        self.total_steps = fit.epochs * self.steps_per_epoch
        self.step = 0
        self.best: dict[str, Any] | None = None
        self._order: tuple[int, list[npt.NDArray[np.int64]]] | None = None
        self._drawn: tuple[int, Batch] | None = None

    def _freeze(self) -> None:
        """Leave out of training what `fit.trained` leaves out."""
        trained = self.config.fit.trained
        self.aligner.queries.requires_grad_(trained != "mlps")
        for mlp in (self.aligner.visual, self.aligner.text):
            mlp.requires_grad_(trained != "queries")

    def train_step(self) -> dict[str, Any]:
        """One step of the optimiser; returns its line of metrics.

        Raises:
            TrainingError: The loss or its gradient is not finite, or another process has ended.
        """
        started = time.perf_counter()
        batch = self._batch(self.step)
        epoch = self.step // self.steps_per_epoch + 1
        if (self.step + 1) % self.steps_per_epoch:
            self._prefetch(self.step + 1)
        self.optimizer.zero_grad(set_to_none=True)
        loss = loss_backward(
            self.aligner, self.criterion, batch, self.cache, self.geometries, self.world, self.config.fit.accumulate
        )
        rate = self._update(loss.total)
        seconds = time.perf_counter() - started
        return {
            "kind": "step",
            "step": self.step,
            "epoch": epoch,
            "loss": loss.total.item(),
            "inter": loss.inter.item(),
            "intra": loss.intra.item(),
            "temperature": self.criterion.temperature.item(),
            "learning_rate": rate,
            "questions": len(batch.examples),
            "without_intra": loss.without_intra,
            "pages": len(batch.pages),
            "ms": seconds * 1e3,
        }

    def _batch(self, step: int) -> Batch:
        """The batch of a step, the same in every process."""
        if self._drawn is None or self._drawn[0] != step:
            fit = self.config.fit
            epoch, place = divmod(step, self.steps_per_epoch)
            if self._order is None or self._order[0] != epoch:
                self._order = epoch, epoch_batches(self.data.train, fit.batch, fit.page_group, fit.seed, epoch)
            examples = [self.data.train[i] for i in self._order[1][place]]
            self._drawn = step, draw_batch(examples, self.config.loss, fit.seed, step)
        return self._drawn[1]

    def _prefetch(self, step: int) -> None:
        parts = split_batch(self._batch(step), self.geometries, self.world, self.config.fit.accumulate)
        self.cache.prefetch([page.page_id for part in parts for page in part.pages])

    def _update(self, loss: Tensor) -> float:
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.fit.clip_norm)
        if not torch.isfinite(loss + norm):
            raise TrainingError(
                f"the loss is {loss.item()} with a gradient of length {norm.item()} at step {self.step + 1}",
                file=self.folder,
                remedy="lower fit.learning_rate and train anew",
            )
        rate = learning_rate(self.config.fit, self.step, self.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.criterion.clamp()
        self.step += 1
        return rate

    def finish_epoch(self) -> dict[str, Any]:
        """Validate, and keep the weights where they are the best so far (always, without a validation part)."""
        started = time.perf_counter()
        scores = validate(self.aligner, self.cache, self.geometries, self.data.validation, self.world)
        epoch = self.step // self.steps_per_epoch
        name = self.config.fit.best_by
        is_best = self.best is None or not scores or scores[name] > self.best["validation"][name]
        if is_best:
            self.best = {"step": self.step, "epoch": epoch, "validation": scores}
            if self.world.is_main:
                save_aligner(self.folder, self.aligner, self.best)
        seconds = time.perf_counter() - started
        return {
            "kind": "epoch",
            "step": self.step,
            "epoch": epoch,
            "validation": scores,
            "best": is_best,
            "device": self._hardware(),
            "seconds": seconds,
        }

    def _hardware(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return name if self.world.size == 1 else f"{self.world.size} x {name}"

    def save_state(self) -> None:
        """Write what `load_state` needs, in one file."""
        tensors = {f"aligner.{name}": tensor for name, tensor in self.aligner.state_dict().items()}
        tensors |= {f"criterion.{name}": tensor for name, tensor in self.criterion.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
        facts = {"step": self.step, "best": self.best, "config_sha256": config_digest(self.folder)}
        write_tensors(self.folder / STATE_FILE, _STATE_KIND, tensors, facts)

    def load_state(self) -> None:
        """Go to where `save_state` left off.

        Raises:
            TrainingError: There is no state, or it is damaged or another run's.
        """
        file = self.folder / STATE_FILE
        tensors, facts = read_tensors(file, _STATE_KIND)
        if facts.get("config_sha256") != config_digest(self.folder):
            raise TrainingError("was saved with another config.json", file=file, remedy="train anew in a new folder")
        try:
            self._take_state(tensors, facts)
        except (LookupError, TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise TrainingError(f"is not the state of this run: {error}", file=file) from error

    def _take_state(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        parts: dict[str, dict[str, Tensor]] = {"aligner": {}, "criterion": {}, "optimizer": {}}
        for key, tensor in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = tensor
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in parts["optimizer"].items():
            index, name = key.split(".")
            # The optimizer itself takes moments of any shape.
            if tensor.ndim and tensor.shape != self.parameters[int(index)].shape:
                raise ValueError(f"{key} has shape {tuple(tensor.shape)}")
            moments.setdefault(int(index), {})[name] = tensor
        step, best = facts["step"], facts["best"]
        if not isinstance(step, int) or not 0 <= step <= self.total_steps:
            raise ValueError(f"step {step} of {self.total_steps}")
        if best is not None and best["validation"]:
            float(best["validation"][self.config.fit.best_by])
        self.aligner.load_state_dict(parts["aligner"])
        self.criterion.load_state_dict(parts["criterion"])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.step, self.best = step, best


def fit(trainer: Trainer, report: Report) -> int | None:
    """Train to the end, or to the first Ctrl-C.

    Args:
        trainer: New, or with a loaded state.
        report: Called with every line of metrics, in the main process.

    Returns:
        None when the run is finished, else the number of the signal that stopped it (or another process of it); its
        state is saved then.
    """
    config, folder, main = trainer.config.fit, trainer.folder, trainer.world.is_main
    stopped_by: int | None = None
    with (
        numerics(_threads(trainer), trainer.device, config.precision),
        MetricsFile(folder / METRICS_FILE, trainer.step) if main else nullcontext() as metrics,
        stop_on_signals() as stop,
    ):
        if trainer.step == 0 and main:
            trainer.save_state()
        saved = time.monotonic()
        while trainer.step < trainer.total_steps and stopped_by is None:
            records = [trainer.train_step()]
            ends_epoch = trainer.step % trainer.steps_per_epoch == 0
            if ends_epoch:
                records.append(trainer.finish_epoch())
            if metrics is not None:
                for record in records:
                    metrics.append(record)
                    report(record)
            stopped_by = trainer.world.agree_to_stop(stop.signal)
            if not main:
                continue
            if ends_epoch:
                write_card(folder, finished=trainer.step == trainer.total_steps)
            if stopped_by or ends_epoch or time.monotonic() - saved > 60 * config.save_minutes:
                trainer.save_state()
                saved = time.monotonic()
    if trainer.step < trainer.total_steps:
        return stopped_by
    if main:
        (folder / STATE_FILE).unlink(missing_ok=True)
    return None


def _threads(trainer: Trainer) -> int:
    """The run's threads; where processes share the machine, no more than this one's share of the cores."""
    world = trainer.world
    if world.size == 1:
        return trainer.config.fit.threads
    return min(trainer.config.fit.threads, max(1, available_threads() // world.local_size))


def learning_rate(config: FitConfig, step: int, total_steps: int) -> float:
    """The learning rate of a step (from 0): a linear rise over `warmup`, then constant or half a cosine to zero."""
    rising = math.ceil(config.warmup * total_steps)
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    if config.schedule == "constant":
        return config.learning_rate
    done = (step - rising) / max(1, total_steps - rising)
    return config.learning_rate * (1 + math.cos(math.pi * done)) / 2
