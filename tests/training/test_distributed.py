"""Several processes, or several passes over the pages, take the steps that one takes."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pinpoint_data.errors import UsageError
from tests.training.distributed_worker import SCENARIOS, STOPPED, run
from tests.training.toy import records_of, toy_config, toy_trainer
from training.checkpoint import METRICS_FILE
from training.fitting.distributed import World
from training.fitting.fit import Trainer, fit
from training.fitting.metrics import read_metrics
from training.fitting.step import balanced_shares, loss_backward, split_batch

torch.set_num_threads(1)


def stop_after(step: int):
    def report(record: dict[str, Any]) -> None:
        if record["kind"] == "step" and record["step"] == step:
            signal.raise_signal(signal.SIGINT)

    return report


def without_times(folder: Path) -> Iterator[dict[str, Any]]:
    for record in read_metrics(folder / METRICS_FILE):
        yield {name: value for name, value in record.items() if name not in ("ms", "seconds", "device")}


def assert_same_records(found: Path, expected: Path) -> None:
    pairs = list(zip(without_times(found), without_times(expected), strict=True))
    assert pairs
    for ours, theirs in pairs:
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            if isinstance(value, dict):
                assert ours[name] == pytest.approx(value, abs=0.02)
            else:
                assert ours[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int | None]]:
    """What three processes left behind, and how they ended."""
    folder = tmp_path_factory.mktemp("three")
    started = toy_trainer(folder / "resumed", SCENARIOS["resumed"])
    assert fit(started, stop_after(2)) == signal.SIGINT
    shutil.copytree(folder / "resumed", folder / "alone")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.training.distributed_worker"])
    processes = [context.Process(target=run, args=(folder, rank, 3, port)) for rank in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=100)
        process.kill()
    return folder, [process.exitcode for process in processes]


@pytest.mark.parametrize("name", SCENARIOS)
def test_three_processes_take_the_steps_of_one(three: tuple[Path, list[int]], tmp_path: Path, name: str) -> None:
    folder, _ = three
    config = SCENARIOS[name].model_copy(update={"fit": SCENARIOS[name].fit.model_copy(update={"accumulate": 1})})
    alone = toy_trainer(tmp_path / "alone", config)
    if name == "resumed":
        alone.folder = folder / "alone"
        alone.load_state()
    fit(alone, lambda record: None)
    assert_same_records(folder / name, alone.folder)
    weights = [torch.load(folder / f"{name}-{rank}.pt", weights_only=True) for rank in range(3)]
    for parameter, expected in alone.aligner.state_dict().items():
        torch.testing.assert_close(weights[0][parameter], expected, atol=1e-5, rtol=1e-4)
        assert torch.equal(weights[0][parameter], weights[1][parameter])
        assert torch.equal(weights[0][parameter], weights[2][parameter])


def test_a_signal_to_one_process_stops_all_and_one_alone_goes_on(three: tuple[Path, list[int]], tmp_path: Path) -> None:
    folder, _ = three
    whole, resumed = (toy_trainer(tmp_path / name, STOPPED) for name in ("whole", "resumed"))
    resumed.folder = folder / "stopped"
    resumed.load_state()
    assert resumed.step == 3
    for trainer in (whole, resumed):
        assert fit(trainer, lambda record: None) is None
    assert_same_records(resumed.folder, whole.folder)


def test_a_process_that_fails_takes_the_others_along(three: tuple[Path, list[int]]) -> None:
    folder, status = three
    assert status == [1, 1, 1]
    assert (folder / "error-1.txt").read_text() == "the second process fails"
    for rank in (0, 2):
        assert "another process of this run has ended" in (folder / f"error-{rank}.txt").read_text()


@pytest.mark.parametrize("accumulate", [2, 3, 50])
def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path: Path, accumulate: int) -> None:
    trainer = toy_trainer(tmp_path / "run", toy_config(), documents=12)
    batch = trainer._batch(0)
    found = []
    for passes in (1, accumulate):
        for parameter in trainer.parameters:
            parameter.grad = None
        loss = loss_backward(
            trainer.aligner, trainer.criterion, batch, trainer.cache, trainer.geometries, trainer.world, passes
        )
        found.append((loss.total, [parameter.grad.clone() for parameter in trainer.parameters]))
    torch.testing.assert_close(found[1][0], found[0][0], atol=1e-6, rtol=0)
    for ours, theirs in zip(found[1][1], found[0][1], strict=True):
        scale = theirs.abs().max().clamp_min(1e-3)
        torch.testing.assert_close(ours / scale, theirs / scale, atol=1e-5, rtol=0)


def test_a_batchs_gradients_are_those_of_plain_autograd(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path / "run", toy_config(), documents=6)
    generator = torch.Generator().manual_seed(0)
    for weights in trainer.parameters:  # away from the special start, where an empty window's projection has no length
        weights.data += 0.1 * torch.randn(weights.shape, generator=generator)
    batch = trainer._batch(0)
    loss = loss_backward(trainer.aligner, trainer.criterion, batch, trainer.cache, trainer.geometries, World(), 2)
    ours = [parameter.grad.clone() for parameter in trainer.parameters]
    expected = torch.autograd.grad(plain_loss(trainer), trainer.parameters)
    torch.testing.assert_close(loss.total, plain_loss(trainer))
    for found, gradient in zip(ours, expected, strict=True):
        torch.testing.assert_close(found, gradient, atol=1e-5, rtol=1e-4)


def plain_loss(trainer: Trainer) -> torch.Tensor:
    """The loss of the first batch from the formulas: every window's tokens copied, pooled and compared."""
    aligner, batch = trainer.aligner, trainer._batch(0)

    def pooled(mlp, tokens):
        values = mlp.last(torch.nn.functional.gelu(mlp.first(tokens)))
        return torch.softmax(aligner.queries @ values.T / values.shape[1] ** 0.5, dim=1) @ values

    texts = [
        pooled(aligner.text, torch.as_tensor(trainer.backbone.encode_question(e.question))) for e in batch.examples
    ]
    columns = []
    for page in batch.pages:
        tokens = trainer.cache.tokens(page.page_id)
        for index in trainer.geometries.of(*page.size).tokens[page.windows]:
            visual = pooled(aligner.visual, tokens[index])
            columns.append(torch.stack([torch.cosine_similarity(visual, text, dim=1).mean() for text in texts]))
    scores = torch.stack(columns, dim=1)
    return trainer.criterion(scores, batch.positive, batch.negative, batch.drawn, batch.documents).total


@given(st.lists(st.integers(1, 100), max_size=12), st.integers(1, 5))
def test_shares_hold_every_page_once_and_are_about_equal(weights: list[int], shares: int) -> None:
    found = balanced_shares(weights, shares)
    assert sorted(index for share in found for index in share) == list(range(len(weights)))
    sums = [sum(weights[index] for index in share) for share in found]
    assert max(sums) - min(sums) <= max(weights, default=0)


def test_parts_of_all_processes_cover_the_batch_once(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path / "run", toy_config())
    batch = trainer._batch(0)
    seen = []
    for rank in range(3):
        world = World()
        world.rank, world.size = rank, 3
        for part in split_batch(batch, trainer.geometries, world, accumulate=2):
            assert len(part.columns) == sum(len(page.windows) for page in part.pages)
            seen += part.columns.tolist()
    assert sorted(seen) == list(range(batch.positive.shape[1]))


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    for name in ("cuda", "cuda:3"):
        with pytest.raises(UsageError, match="0 CUDA devices were found"):
            World().device(name)
    for name in ("mps", "meta", "xpu", "nonsense", ""):
        with pytest.raises(UsageError, match=name or "no device ''"):
            World().device(name)
    assert World().device("cpu") == torch.device("cpu")


def test_a_bfloat16_run_trains(tmp_path: Path) -> None:
    config = toy_config(fit={"precision": "bf16", "epochs": 3}, aligner={"normalise": "rms"})
    trainer = toy_trainer(tmp_path / "run", config)
    fit(trainer, lambda record: None)
    losses = [record["loss"] for record in records_of(trainer, ["step"])]
    assert losses[-1] < losses[0]
    assert all(weights.dtype == torch.float32 for weights in trainer.aligner.parameters())


def test_the_next_steps_pages_are_asked_for_before_they_are_needed(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path / "run", toy_config(fit={"epochs": 1}))
    announced: list[str] = []
    trainer.cache.prefetch = announced.extend
    for step in range(1, trainer.steps_per_epoch):
        trainer.train_step()
        assert set(announced) == {page.page_id for page in trainer._batch(step).pages}
        announced.clear()
    trainer.train_step()
    assert not announced  # the validation part comes first
