"""`pinpoint train`, from a published dataset to a run, as a user sees it: new, refused, interrupted, resumed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from filelock import FileLock
from PIL import Image

from loaders.publishing import publish
from pinpoint_data.errors import PinpointError, TrainingError, UsageError
from pinpoint_data.workspace import Workspace
from tests.loaders.build import page, question, regions, write, write_part
from training import load_run
from training.backbones import OcrGrid, make_backbone
from training.commands.train import train
from training.config import load_config
from training.features import create_cache, extract, plan_extraction
from training.fitting.start import new_run, resume_run
from training.pages.store import PageStore

SIDE = 560
NOUNS = ("revenue", "costs", "profit", "employees", "exports", "taxes")
TINY = [
    "--set",
    "threads=1",
    "--set",
    "dim=16",
    "--set",
    "queries=8",
    "--set",
    "backbone.options={lexical_dim = 32, max_tokens = 400}",
]


def fill(folder: Path, documents: int = 8) -> Path:
    """One page a document; each noun stands somewhere on it and is asked for."""
    ws = Workspace.create(folder / "ws")
    ws.register_source("forms", "records", folder)
    rng = np.random.default_rng(0)
    pages, asked, gold, words = [], [], [], []
    for number in range(documents):
        id_ = f"forms/{number}"
        Image.new("RGB", (SIDE, SIDE), (255, 250 - number, 250)).save(folder / f"{number}.png")
        data = (folder / f"{number}.png").read_bytes()
        pages.append(page(id_, f"{number}.png", data, width=SIDE, height=SIDE, doc_id=id_))
        for place, noun in zip(rng.permutation(16)[: len(NOUNS)], NOUNS, strict=True):
            x, y = 20.0 + 140 * (place % 4), 20.0 + 140 * (place // 4)
            box = {"x0": x, "y0": y, "x1": x + 70, "y1": y + 14}
            words.append({"page_id": id_, "line": 0, "text": noun, "confidence": None, "engine": "test", **box})
            asked.append(question(f"{id_}-{noun}", "train", [id_], doc_id=id_, question=f"How large are {noun}?"))
            gold += regions(f"{id_}-{noun}", [(x, y, x + 70, y + 14)])
    write_part(ws, "forms-train", pages, asked, gold, words)
    return ws.path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    publish(Workspace.open(fill(folder)), folder / "dataset")
    return folder


def places(made: Path) -> list[str]:
    return ["--dataset", str(made / "dataset"), "--workspace", str(made / "ws")]


def invoke(made: Path, run: Path, *arguments: str) -> Result:
    return CliRunner().invoke(train, [str(run), *places(made), *arguments], catch_exceptions=False)


def failure(made: Path, run: Path, *arguments: str) -> PinpointError:
    with pytest.raises(PinpointError) as caught:
        invoke(made, run, *arguments)
    return caught.value


def test_a_run_is_trained_and_loads(made: Path, tmp_path: Path) -> None:
    done = invoke(made, tmp_path / "run", *TINY, "--set", "epochs=2", "--json")
    assert done.exit_code == 0
    payload = json.loads(done.stdout)
    assert payload["steps"] == 4 and payload["best"]["validation"].keys() == {"auc", "recall", "top1"}
    assert payload["data"]["train"]["forms"] + payload["data"]["validation"]["forms"] == 8 * len(NOUNS)
    steps = [line for line in done.stderr.splitlines() if line.startswith("step")]
    assert len(steps) == 4
    for part in ("loss", "inter", "intra", "ms", "samples/s", "left"):
        assert part in steps[0]
    run = load_run(tmp_path / "run")
    assert run.config.fit.epochs == 2 and run.backbone.name == "ocr-grid"
    assert "`dataset`" in (tmp_path / "run" / "README.md").read_text()


def test_a_run_is_never_overwritten(made: Path, tmp_path: Path) -> None:
    invoke(made, tmp_path / "run", *TINY, "--set", "epochs=1")
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    error = failure(made, tmp_path / "run", *TINY)
    assert isinstance(error, UsageError) and "never overwritten" in str(error)
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    done = invoke(made, tmp_path / "run", "--resume")
    assert done.exit_code == 0 and "finished earlier, nothing to resume" in done.stdout
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(UsageError, match="nothing to resume"):
        resume_run(tmp_path / "run", made / "dataset", made / "ws")


def test_a_run_that_was_killed_while_it_was_made_starts_over(made: Path, tmp_path: Path) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    invoke(made, whole, *TINY, "--set", "epochs=1")
    run.mkdir()
    shutil.copy(whole / "documents.json", run)
    (run / ".config.json.tmp").write_text("{")
    invoke(made, run, *TINY, "--set", "epochs=1")  # nothing but leftovers: no run yet
    assert (run / "aligner.safetensors").read_bytes() == (whole / "aligner.safetensors").read_bytes()

    for name in ("aligner.safetensors", "metrics.jsonl", "README.md"):  # killed before the first state
        (run / name).unlink()
    error = failure(made, run, *TINY)
    assert isinstance(error, UsageError) and "--resume" in str(error)
    assert invoke(made, run, "--resume").exit_code == 0
    assert (run / "aligner.safetensors").read_bytes() == (whole / "aligner.safetensors").read_bytes()


def test_documents_that_are_not_a_runs_are_left_alone(made: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "documents.json").write_text('["mine"]')
    assert "never overwritten" in str(failure(made, tmp_path / "run", *TINY))
    assert (tmp_path / "run" / "documents.json").read_text() == '["mine"]'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "epoch=3"], "did you mean fit.epochs"),
        (["--source", "nobody"], "nobody"),
        (["--resume", "--set", "epochs=3"], "own settings"),
        (["--resume"], "is no run"),
        (["--model", "models/mine"], "'ocr-grid' does not take these options"),
        (["--config", "missing.toml"], "no such configuration file"),
        (["--set", 'data.splits=["test"]'], "no question to learn from"),
    ],
)
def test_misuse_is_refused_and_leaves_nothing_behind(
    made: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    assert message in str(failure(made, tmp_path / "runs" / "first", *arguments))
    assert not list((tmp_path / "runs").glob("*"))


def test_a_workspace_that_does_not_fit_is_refused(made: Path, tmp_path: Path) -> None:
    for table, change, message in (
        ("words", None, "run pinpoint words"),
        ("pages", lambda row: row | {"width": 99}, "publish the dataset from this workspace again"),
        ("pages", lambda row: row | {"page_id": row["page_id"] + "x"}, "is not in the workspace"),
    ):
        folder = tmp_path / f"{table}{message[:3]}"
        shutil.copytree(made / "ws", folder)
        ws = Workspace.open(folder)
        rows = list(ws.iter_rows(table, ["forms-train"]))
        ws.remove(table, "forms-train")
        if change:
            write(ws, table, "forms-train", [change(row) for row in rows])
        arguments = [str(tmp_path / "run"), "--dataset", str(made / "dataset"), "--workspace", str(folder)]
        with pytest.raises(TrainingError, match=message):
            CliRunner().invoke(train, arguments, catch_exceptions=False)


def test_other_data_than_the_run_was_started_with_are_refused(made: Path, tmp_path: Path) -> None:
    config = load_config(None, TINY[1::2])
    new_run(tmp_path / "run", made / "dataset", made / "ws", config).save_state()
    other = tmp_path / "other"
    other.mkdir()
    publish(Workspace.open(fill(other, documents=5)), other / "dataset")
    assert "are not those that the run was started with" in str(failure(other, tmp_path / "run", "--resume"))


def interrupted(made: Path, run: Path, *launch: str) -> str:
    """Start a run as a process of its own, send Ctrl-C after its second step, and return what it said."""
    arguments = ["train", str(run), *places(made), *TINY, "--set", "epochs=20"]
    with subprocess.Popen(
        [sys.executable, "-m", *launch, *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stderr is not None and process.stdout is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("step") and line.split()[1] == "2/40":
                process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
    assert process.returncode == (1 if "torch.distributed.run" in launch else 130), said
    return "".join(said)


@pytest.mark.parametrize(
    "launch",
    [["pinpoint_data"], ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "pinpoint_data"]],
    ids=["alone", "torchrun"],
)
def test_ctrl_c_saves_and_says_how_to_go_on(made: Path, tmp_path: Path, launch: list[str]) -> None:
    said = interrupted(made, tmp_path / "run", *launch)
    assert said.count("SIGINT: stopped after") == 1
    step = int(re.search(r"SIGINT: stopped after step (\d+), state saved", said)[1])
    assert 2 <= step < 40
    command = next(line for line in said.splitlines() if line.endswith("--resume"))
    if len(launch) == 1:
        assert "Traceback" not in said
        assert command.startswith(f"  pinpoint train {tmp_path / 'run'}")
    else:  # torchrun itself ends with a traceback
        assert command.startswith("  torchrun --nproc-per-node 2 -m pinpoint_data train")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["kind"] == "step" for line in lines) == step
    done = CliRunner().invoke(train, [str(tmp_path / "run"), *places(made), "--resume"], catch_exceptions=False)
    assert done.exit_code == 0 and f"steps {step} to 40" in done.stderr
    assert load_run(tmp_path / "run").config.fit.epochs == 20


def test_tokens_may_come_from_a_feature_cache(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "features"
    assert str(folder) in str(failure(made, tmp_path / "none", *TINY, "--cache", str(folder)))
    config = load_config(None, TINY[1::2])
    backbone = make_backbone(config.backbone.name, config.backbone.options)
    store = PageStore(Workspace.open(made / "ws"))
    cache = create_cache(folder, backbone)
    extract(cache, backbone, store, plan_extraction(cache, backbone, store, [f"forms/{n}" for n in range(8)]))
    invoke(made, tmp_path / "fly", *TINY, "--set", "epochs=1")
    monkeypatch.setattr("training.backbones.ocr_grid.OcrGrid.encode_page", lambda *_: pytest.fail("is in the cache"))
    invoke(made, tmp_path / "read", *TINY, "--set", "epochs=1", "--cache", str(folder))
    fly, read = (load_run(tmp_path / name).aligner.state_dict() for name in ("fly", "read"))
    for name, weights in fly.items():  # pages that are encoded on the fly are kept in half precision
        torch.testing.assert_close(read[name], weights, atol=2e-3, rtol=0)


def test_a_feature_cache_without_some_of_the_pages_is_refused_at_once(made: Path, tmp_path: Path) -> None:
    config, folder = load_config(None, TINY[1::2]), tmp_path / "features"
    backbone = make_backbone(config.backbone.name, config.backbone.options)
    store = PageStore(Workspace.open(made / "ws"))
    cache = create_cache(folder, backbone)
    extract(cache, backbone, store, plan_extraction(cache, backbone, store, ["forms/0", "forms/1"]))
    message = str(failure(made, tmp_path / "run", *TINY, "--cache", str(folder)))
    assert "not in the feature cache (nor are those of 5 more)" in message and "pinpoint features extract" in message
    assert not (tmp_path / "run").exists()


class Elsewhere(OcrGrid):
    """A backbone with a model in a folder, which says nothing of the folder."""

    def __init__(self, model: str) -> None:
        if not Path(model).is_dir():
            raise TrainingError("no such folder", file=model)
        super().__init__(lexical_dim=32, max_tokens=400)


def test_a_run_is_resumed_from_another_folder_and_after_its_model_has_moved(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    named = ["backbone.name=tests.training.test_train_command:Elsewhere", 'backbone.options={model = "models/mine"}']
    config = load_config(None, [*TINY[1:-1:2], *named, "epochs=1"])
    new_run(tmp_path / "run", made / "dataset", made / "ws", config).save_state()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert resume_run(tmp_path / "run", made / "dataset", made / "ws").step == 0
    (tmp_path / "models" / "mine").rename(tmp_path / "moved")
    assert "--model FOLDER" in str(failure(made, tmp_path / "run", "--resume"))
    recorded = (tmp_path / "run" / "config.json").read_bytes()
    assert invoke(made, tmp_path / "run", "--resume", "--model", "../moved").exit_code == 0
    assert (tmp_path / "run" / "config.json").read_bytes() == recorded
    assert load_run(tmp_path / "run", {"model": str(tmp_path / "moved")}).facts["epoch"] == 1
    again = [*TINY[:-2], "--set", named[0], "--set", "epochs=1", "--model", "../moved"]
    assert invoke(made, tmp_path / "again", *again).exit_code == 0
    assert load_run(tmp_path / "again").config.backbone.options == {"model": str(Path("../moved").absolute())}


def test_a_run_on_the_cpu_is_resumed_where_there_are_fewer_gpus_than_processes(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(None, [*TINY[1::2], "device=cpu"])
    new_run(tmp_path / "run", made / "dataset", made / "ws", config).save_state()
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert resume_run(tmp_path / "run", made / "dataset", made / "ws").device == torch.device("cpu")


def test_a_recipe_is_taken_by_its_name(made: Path, tmp_path: Path) -> None:
    named = invoke(made, tmp_path / "named", "--config", "ocr-grid", *TINY, "--set", "epochs=1")
    assert named.exit_code == 0
    assert load_run(tmp_path / "named").config == load_config("ocr-grid", [*TINY[1::2], "epochs=1"])


def test_two_commands_do_not_train_one_run(made: Path, tmp_path: Path) -> None:
    with FileLock(tmp_path / ".run.lock"):
        assert "by another command" in str(failure(made, tmp_path / "run", *TINY))


def test_help_shows_an_example() -> None:
    shown = CliRunner().invoke(train, ["--help"]).output
    assert "pinpoint train runs/first --dataset" in shown and "--resume" in shown
