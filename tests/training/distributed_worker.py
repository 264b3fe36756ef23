"""What each process of a test runs. They are forked from a server that has imported this module, torch and all."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

from pinpoint_data.errors import PinpointError, TrainingError
from tests.training.toy import toy_config, toy_trainer
from training.config import TrainConfig
from training.fitting.distributed import World, open_world
from training.fitting.fit import fit

SCENARIOS: dict[str, TrainConfig] = {
    "plain": toy_config(),
    "accumulated": toy_config(fit={"accumulate": 2}),
    "few-pages": toy_config(fit={"batch": 2, "epochs": 1}),
    "queries-alone": toy_config(fit={"trained": "queries"}),
    "resumed": toy_config(fit={"page_group": 2}),
}
STOPPED = toy_config(fit={"seed": 3})

# The first optimiser of a process imports torch's compiler: seconds, here spent once before the processes are forked.
torch.optim.AdamW([torch.zeros(1)])


def run(folder: Path, rank: int, size: int, port: int) -> None:
    """Train all scenarios as `rank`, then one that another process stops, then fail as the second process."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(size)}
    torch.set_num_threads(1)
    try:
        with open_world() as world:
            for name, config in SCENARIOS.items():
                train(world, folder, name, config)
            stop(world, folder)
            if world.rank == 1:
                raise TrainingError("the second process fails")
            train(world, folder, "failing", SCENARIOS["plain"])
    except PinpointError as error:
        (folder / f"error-{rank}.txt").write_text(str(error))
        sys.exit(1)


def train(world: World, folder: Path, name: str, config: TrainConfig) -> None:
    """Train to the end; every process leaves its weights beside the run."""
    trainer = toy_trainer(folder / name, config, world=world)
    if name == "resumed":
        trainer.load_state()
    assert fit(trainer, lambda record: None) is None
    torch.save(trainer.aligner.state_dict(), folder / f"{name}-{world.rank}.pt")


def stop(world: World, folder: Path) -> None:
    """The second process gets a signal in its third step."""
    trainer = toy_trainer(folder / "stopped", STOPPED, world=world)
    step = trainer.train_step

    def interrupted() -> dict[str, object]:
        record = step()
        if world.rank == 1 and trainer.step == 3:
            signal.raise_signal(signal.SIGTERM)
        return record

    trainer.train_step = interrupted
    assert fit(trainer, lambda record: None) == signal.SIGTERM and trainer.step == 3
