"""The loop: it learns, it can be stopped anywhere, and a resumed run gives the same bits."""

from __future__ import annotations

import json
import shutil
import signal
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from pinpoint_data.errors import TrainingError
from tests.training.toy import records_of, toy_config, toy_trainer
from training import load_run
from training.checkpoint import ALIGNER_FILE, STATE_FILE
from training.config import FitConfig
from training.fitting.batches import draw_batch, epoch_batches
from training.fitting.fit import Trainer, fit, learning_rate
from training.fitting.interrupt import stop_on_signals
from training.fitting.numerics import numerics

torch.set_num_threads(1)


def stop_after(step: int):
    """A report that presses Ctrl-C once, when a step is done."""

    def report(record: dict) -> None:
        if record["kind"] == "step" and record["step"] == step:
            signal.raise_signal(signal.SIGINT)

    return report


def ignore(record: dict) -> None:
    pass


def test_the_planted_signal_is_learnt(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path / "run", toy_config(fit={"epochs": 12, "learning_rate": 2e-2}), documents=40)
    before = trainer.finish_epoch()["validation"]
    trainer.best = None
    assert fit(trainer, ignore) is None
    best = load_run(tmp_path / "run").facts["validation"]
    chance = 1 / 16 * 1.5
    assert before["top1"] < 0.35
    assert best["top1"] > 0.7 > 7 * chance
    assert best["auc"] > 0.9 and best["recall"] > before["recall"] + 0.3
    losses = [record["loss"] for record in records_of(trainer, ["step"])]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


@pytest.mark.parametrize("stop", [1, 5, 6])
def test_a_resumed_run_gives_the_bits_of_an_uninterrupted_one(tmp_path: Path, stop: int) -> None:
    config = toy_config(fit={"schedule": "cosine", "warmup": 0.2})
    whole = toy_trainer(tmp_path / "whole" / "run", config)
    assert fit(whole, ignore) is None
    assert whole.steps_per_epoch < 6 <= whole.total_steps  # the stops lie inside and at the edge of epochs

    broken = toy_trainer(tmp_path / "broken" / "run", config)
    assert fit(broken, stop_after(stop)) == signal.SIGINT
    assert broken.step == stop
    torch.manual_seed(99)  # whatever the state of the process, only the saved state may count
    resumed = toy_trainer(tmp_path / "other" / "run", config)
    resumed.folder = broken.folder
    resumed.load_state()
    assert fit(resumed, ignore) is None

    for name, weights in whole.aligner.state_dict().items():
        assert torch.equal(weights, resumed.aligner.state_dict()[name]), name
    assert torch.equal(whole.criterion.log_temperature, resumed.criterion.log_temperature)
    assert list(records_of(resumed)) == list(records_of(whole))
    assert (resumed.folder / ALIGNER_FILE).read_bytes() == (whole.folder / ALIGNER_FILE).read_bytes()
    assert not (resumed.folder / STATE_FILE).exists()


@pytest.mark.parametrize(("trained", "fixed"), [("queries", ("visual.", "text.")), ("mlps", ("queries",)), ("all", ())])
def test_only_the_parts_that_are_named_learn(tmp_path: Path, trained: str, fixed: tuple[str, ...]) -> None:
    trainer = toy_trainer(tmp_path / "run", toy_config(fit={"trained": trained, "weight_decay": 0.1}))
    before = {name: weights.clone() for name, weights in trainer.aligner.state_dict().items()}
    assert fit(trainer, stop_after(3)) == signal.SIGINT
    resumed = toy_trainer(tmp_path / "again", toy_config(fit={"trained": trained, "weight_decay": 0.1}))
    resumed.folder = trainer.folder
    resumed.load_state()
    assert fit(resumed, ignore) is None
    kept = {name for name, weights in resumed.aligner.state_dict().items() if torch.equal(weights, before[name])}
    assert kept == {name for name in before if name.startswith(fixed)}


def test_a_killed_run_goes_on_from_its_last_saved_state(tmp_path: Path) -> None:
    whole = toy_trainer(tmp_path / "whole", toy_config())
    fit(whole, ignore)
    killed = toy_trainer(tmp_path / "killed", toy_config())

    def die(record: dict) -> None:
        if record["step"] == killed.steps_per_epoch + 1:
            with (killed.folder / "metrics.jsonl").open("a") as file:
                file.write('{"kind": "step", "st')  # a line cut in the middle
            raise MemoryError

    with pytest.raises(MemoryError):
        fit(killed, die)
    resumed = toy_trainer(tmp_path / "spare", toy_config())
    resumed.folder = killed.folder
    resumed.load_state()
    assert resumed.step == killed.steps_per_epoch
    fit(resumed, ignore)
    assert list(records_of(resumed)) == list(records_of(whole))


def test_page_groups_and_threads_are_part_of_the_recipe_not_of_chance(tmp_path: Path) -> None:
    runs = [toy_trainer(tmp_path / str(i), toy_config(fit={"page_group": 3, "epochs": 1})) for i in range(2)]
    for trainer in runs:
        fit(trainer, ignore)
    assert list(records_of(runs[0])) == list(records_of(runs[1]))


def test_the_weights_of_the_best_epoch_are_kept(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path / "run", toy_config(fit={"epochs": 4, "best_by": "auc"}))
    fit(trainer, ignore)
    epochs = list(records_of(trainer, ["epoch"]))
    best = max(epochs, key=lambda record: record["validation"]["auc"])
    run = load_run(tmp_path / "run")
    assert run.facts["epoch"] == best["epoch"] and run.facts["validation"] == best["validation"]
    assert [e["epoch"] for e in epochs if e["best"]][-1] == best["epoch"]


def test_without_a_validation_part_the_last_epoch_is_kept(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path / "run", toy_config(data={"validation_fraction": 0}), documents=6)
    assert not trainer.data.validation
    fit(trainer, ignore)
    assert load_run(tmp_path / "run").facts == {"step": trainer.total_steps, "epoch": 2, "validation": {}}
    assert "No question was held out" in (tmp_path / "run" / "README.md").read_text()


def test_a_loss_that_is_not_finite_ends_the_run_with_a_reason(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path / "run", toy_config())
    trainer.aligner.queries.data[0, 0] = float("nan")
    with pytest.raises(TrainingError, match=r"step 1.*learning_rate"):
        fit(trainer, ignore)


def test_a_gradient_that_is_not_finite_does_not_reach_the_weights(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path / "run", toy_config())
    before = [weights.clone() for weights in trainer.parameters]
    trainer.aligner.queries.register_hook(lambda gradient: gradient / 0)
    with pytest.raises(TrainingError, match=r"a gradient of length (nan|inf) at step 1.*lower fit.learning_rate"):
        trainer.train_step()
    assert all(torch.equal(a, b) for a, b in zip(trainer.parameters, before, strict=True))


def test_a_state_of_another_configuration_is_refused(tmp_path: Path) -> None:
    first = toy_trainer(tmp_path / "first", toy_config())
    first.save_state()
    other = toy_trainer(tmp_path / "other", toy_config(fit={"seed": 3}))
    shutil.copy(first.folder / STATE_FILE, other.folder / STATE_FILE)
    with pytest.raises(TrainingError, match="another config"):
        other.load_state()


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path / "run", toy_config())
    trainer.save_state()
    file = trainer.folder / STATE_FILE
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    with pytest.raises(TrainingError, match="does not match the hash"):
        trainer.load_state()


def test_every_step_writes_one_line_and_every_epoch_one(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path / "run", toy_config())
    seen: list[dict] = []
    fit(trainer, seen.append)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines == seen
    steps = [line["step"] for line in lines if line["kind"] == "step"]
    assert steps == list(range(1, trainer.total_steps + 1))
    assert {"loss", "inter", "intra", "temperature", "without_intra", "ms"} <= lines[0].keys()


def test_an_epoch_asks_every_question_once_with_pages_kept_together(tmp_path: Path) -> None:
    examples = toy_trainer(tmp_path / "run", toy_config()).data.train
    batches = epoch_batches(examples, 6, 2, seed=0, epoch=0)
    asked = [int(index) for batch in batches for index in batch]
    assert sorted(asked) == list(range(len(examples)))
    assert [len(b) for b in batches[:-1]] == [6] * (len(batches) - 1)
    together = sum(examples[a].pages == examples[b].pages for a, b in pairwise(asked))
    assert together >= len({e.pages for e in examples})
    again, later, other = (epoch_batches(examples, 6, 2, seed=s, epoch=e) for s, e in ((0, 0), (0, 1), (1, 0)))
    assert [b.tolist() for b in again] == [b.tolist() for b in batches]
    for different in (later, other):
        assert [b.tolist() for b in different] != [b.tolist() for b in batches]


def test_a_batch_marks_each_questions_own_windows_and_draws_afresh(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path / "run", toy_config(labels={"positive": 0.1}))
    examples = trainer.data.train[:5]
    drawn = set()
    for step in range(40):
        batch = draw_batch(examples, trainer.config.loss, seed=0, step=step)
        assert len(batch.pages) == len({e.pages for e in examples})
        columns = [(page.page_id, int(w)) for page in batch.pages for w in page.windows]
        for row, example in enumerate(examples):
            for mask, label in ((batch.positive, 1), (batch.negative, 0)):
                found = {columns[c] for c in mask[row].nonzero().squeeze(1).tolist()}
                expected = {(example.pages[0], int(w)) for w in (example.labels[0] == label).nonzero()[0]}
                assert found == expected
            assert batch.positive[row, batch.drawn[row]]
        drawn.add(tuple(batch.drawn.tolist()))
    positives = [int((e.labels[0] == 1).sum()) for e in examples]
    assert len(drawn) > 1 or max(positives) == 1


def test_negatives_and_pages_of_a_question_are_capped(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path / "run", toy_config())
    one = trainer.data.train[0]
    others = [*{e.pages: e for e in trainer.data.train if e.pages != one.pages}.values()]
    many = type(one)(
        one.question_id, one.source, one.split, one.doc_id, one.question,
        one.pages + tuple(e.pages[0] for e in others), one.sizes * (1 + len(others)), one.files,
        one.boxes + tuple(one.boxes[0][:0] for _ in others), one.labels + tuple(one.labels[0] * 0 for _ in others),
    )  # fmt: skip
    capped = trainer.config.loss.model_copy(update={"max_pages": 3, "max_negatives": 20})
    seen = set()
    for step in range(30):
        batch = draw_batch([many], capped, seed=0, step=step)
        assert one.pages[0] in {page.page_id for page in batch.pages} and len(batch.pages) <= 3
        assert batch.negative.sum() == 20
        assert batch.positive.sum() == (one.labels[0] == 1).sum()
        seen |= {page.page_id for page in batch.pages}
    assert seen == set(many.pages)


def test_learning_rate_rises_then_follows_its_schedule() -> None:
    config = FitConfig(learning_rate=1.0, warmup=0.2, schedule="cosine")
    rates = [learning_rate(config, step, 10) for step in range(10)]
    assert rates[:2] == [0.5, 1.0] and rates[2] == 1.0
    assert rates[2:] == sorted(rates[2:], reverse=True) and 0 < rates[-1] < 0.05
    assert learning_rate(FitConfig(), 999, 1000) == 2e-5


def test_torchs_settings_are_put_back() -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with pytest.raises(ZeroDivisionError), numerics(1, torch.device("cpu")):
        assert torch.are_deterministic_algorithms_enabled()
        raise ZeroDivisionError
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_the_second_ctrl_c_is_not_held_back() -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop and stop.signal == signal.SIGINT
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is handler


def test_trainers_do_not_share_anything(tmp_path: Path) -> None:
    one, two = (toy_trainer(tmp_path / name, toy_config()) for name in "ab")
    one.train_step()
    fresh = Trainer(two.folder, two.config, two.data, two.geometries, two.cache)
    assert torch.equal(two.aligner.queries, fresh.aligner.queries)
    assert not torch.equal(one.aligner.queries, two.aligner.queries)
