"""A run's folder: it stands alone, and anything foreign, altered or mixed is refused with a reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.windows import make_windows
from pinpoint_data.words.base import PageWords
from tests.training.runs import tiny_run
from tests.training.toy import ToyBackbone, toy_config, toy_trainer
from training import load_run
from training.backbones.base import EncodedPage
from training.checkpoint import ALIGNER_FILE, CONFIG_FILE, DOCUMENTS_FILE, Run, config_digest, make_aligner
from training.fitting.fit import fit
from training.pages.input import PageInput
from training.tensor_file import read_tensors, write_tensors

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "toy-run"
    fit(toy_trainer(folder, toy_config(fit={"epochs": 1})), lambda record: None)
    return folder


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "moved"))


def encoded(run: Run, words: int = 4, seed: int = 0) -> EncodedPage:
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 8, (words, 2)) * 10.0
    page_words = PageWords([f"k{i}" for i in range(words)], np.concatenate([low, low + 10], 1), np.arange(words))
    return run.backbone.encode_page(PageInput("p", 80, 80, page_words, lambda: pytest.fail("no pixels are needed")))


def edit(file: Path, change) -> None:
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def test_the_folder_stands_alone(copied: Path) -> None:
    names = {path.name for path in copied.iterdir()}
    assert names == {"config.json", "aligner.safetensors", "documents.json", "metrics.jsonl", "README.md"}
    run = load_run(str(copied))
    page = encoded(run)
    windows = make_windows(page.grid, run.window_spec)
    (scores,) = run.score_windows([page], [windows], "q1")
    assert scores.shape == (len(windows),) and scores.dtype == np.float64
    assert np.isfinite(scores).all() and (abs(scores) <= 1 + 1e-6).all()


def test_scores_do_not_depend_on_what_was_asked_before(trained: Path) -> None:
    run, fresh = load_run(trained), load_run(trained)
    pages = [encoded(run, seed=s) for s in range(2)]
    windows = [make_windows(page.grid, run.window_spec) for page in pages]
    run.score_windows(pages, windows, "q3")
    warm = run.score_windows(pages, windows, "q1")
    cold = [fresh.score_windows([p], [w], "q1")[0] for p, w in zip(pages, windows, strict=True)]
    assert all(np.array_equal(a, b) for a, b in zip(warm, cold, strict=True))


def test_questions_scored_together_are_questions_scored_alone(trained: Path) -> None:
    run = load_run(trained)
    pages = [encoded(run, seed=s) for s in range(2)]
    windows = [make_windows(page.grid, run.window_spec) for page in pages]
    questions = ["q3", "q1", "q7"]
    together = run.score_windows_many(pages, windows, questions)
    assert [len(scores) for scores in together] == [2, 2, 2]
    for question, scores in zip(questions, together, strict=True):
        for ours, alone in zip(scores, run.score_windows(pages, windows, question), strict=True):
            np.testing.assert_allclose(ours, alone, atol=1e-6)
    assert run.score_windows_many(pages, windows, []) == []


def test_tokens_may_be_tensors_of_lower_precision(trained: Path) -> None:
    run = load_run(trained).to("cpu")
    page = encoded(run)
    windows = [make_windows(page.grid, run.window_spec)]
    half = EncodedPage(page.grid, page.tensor().bfloat16())
    run.backbone.encode_question = lambda question: torch.eye(24)[3:4].bfloat16() * 3
    scores = [run.score_windows([p], windows, "q1")[0] for p in (page, half)]
    np.testing.assert_array_equal(*scores)  # the toy's tokens are whole numbers


def test_a_run_from_before_devices_and_precisions_loads(copied: Path, tmp_path: Path) -> None:
    def forget(value: dict) -> None:
        for section, name in (("aligner", "normalise"), ("loss", "inter_weight")):
            del value["config"][section][name]
        for name in ("device", "precision", "accumulate"):
            del value["config"]["fit"][name]

    tensors, facts = read_tensors(copied / ALIGNER_FILE, "pinpoint-aligner")
    edit(copied / CONFIG_FILE, forget)
    write_tensors(copied / ALIGNER_FILE, "pinpoint-aligner", tensors, facts | {"config_sha256": config_digest(copied)})
    run = load_run(copied)
    assert (run.config.fit.device, run.config.fit.precision, run.config.aligner.normalise) == ("auto", "fp32", "none")


class Moved(ToyBackbone):
    """A backbone with a model somewhere; `colour` decides its tokens, the model's place does not."""

    def __init__(self, model: str, colour: str = "red") -> None:
        self.colour = colour

    def spec(self) -> dict[str, Any]:
        return super().spec() | {"options": {"colour": self.colour}}


def test_a_model_that_has_moved_is_named_and_checked(tmp_path: Path) -> None:
    config = toy_config(backbone={"name": "tests.training.test_checkpoint:Moved", "options": {"model": str(tmp_path)}})
    backbone = Moved(str(tmp_path))
    Run(
        tmp_path / "run", config, backbone, make_aligner(config, backbone), {}, {"train": [], "validation": []}, {}
    ).save(tmp_path / "run")
    old, new = str(tmp_path / "gone"), str(tmp_path / "new")
    Path(new).mkdir()
    assert load_run(tmp_path / "run", {"model": new}).config.backbone.options == {"model": new}
    with pytest.raises(TrainingError, match=r"no model folder .*gone.*--model FOLDER, or load_run\(run, options="):
        load_run(tmp_path / "run", {"model": old})
    with pytest.raises(TrainingError, match=r'options\.colour is "red" there, "blue" here'):
        load_run(tmp_path / "run", {"colour": "blue"})


class OnTheHub(ToyBackbone):
    """A backbone whose model is a hub name, and cannot be had."""

    def __init__(self, model: str) -> None:
        if model != "there":
            raise TrainingError("cannot be had from the hub", record=f"model {model}", remedy="be online")


def test_a_model_that_cannot_be_had_is_named_with_the_remedy(tmp_path: Path) -> None:
    backbone, documents = OnTheHub("there"), {"train": [], "validation": []}
    options = {"name": "tests.training.test_checkpoint:OnTheHub", "options": {"model": "models/llava"}}
    config = toy_config(backbone=options)
    Run(tmp_path / "run", config, backbone, make_aligner(config, backbone), {}, documents, {}).save(tmp_path / "run")
    with pytest.raises(
        TrainingError, match=r"model models/llava: cannot be .*\(be online; name where .*--model FOLDER"
    ):
        load_run(tmp_path / "run")


def test_the_card_is_made_from_the_run(trained: Path) -> None:
    card = (trained / "README.md").read_text()
    head, _, body = card.removeprefix("---\n").partition("\n---\n")
    assert "pipeline_tag: document-question-answering" in head
    counts = json.loads((trained / CONFIG_FILE).read_text())["data"]["counts"]
    assert f"| toy | {counts['train']['toy']} | {counts['validation']['toy']} |" in body
    assert "Run finished" in body and "load_run" in body and "## Limitations" in body
    recall = load_run(trained).facts["validation"]["recall"]
    assert f"{recall:.3f}" in body and "1 (kept)" in body


def test_documents_of_both_sides_are_listed_and_apart(trained: Path) -> None:
    documents = load_run(trained).documents
    assert documents["train"] and documents["validation"]
    assert not set(documents["train"]) & set(documents["validation"])


def test_save_and_load_give_the_same_run(trained: Path, tmp_path: Path) -> None:
    run = load_run(trained)
    run.save(tmp_path / "again")
    again = load_run(tmp_path / "again")
    assert again.config == run.config and again.facts == run.facts and again.documents == run.documents
    for name, weights in run.aligner.state_dict().items():
        assert torch.equal(weights, again.aligner.state_dict()[name])
    with pytest.raises(UsageError, match="never overwritten"):
        run.save(tmp_path / "again")


def test_nothing_is_trained_after_loading(trained: Path) -> None:
    assert not any(weights.requires_grad for weights in load_run(trained).aligner.parameters())


@pytest.mark.parametrize("offset", [-1, -100])
def test_a_flipped_bit_in_the_weights_is_found(copied: Path, offset: int) -> None:
    file = copied / ALIGNER_FILE
    data = bytearray(file.read_bytes())
    data[offset] ^= 1
    file.write_bytes(data)
    with pytest.raises(TrainingError, match="does not match the hash"):
        load_run(copied)


def test_truncated_weights_are_refused(copied: Path) -> None:
    file = copied / ALIGNER_FILE
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(TrainingError, match=r"aligner\.safetensors.*no readable safetensors"):
        load_run(copied)


def test_another_programs_weights_are_refused(copied: Path) -> None:
    tensors = load_file(copied / ALIGNER_FILE)
    save_file(tensors, copied / ALIGNER_FILE)
    with pytest.raises(TrainingError, match="another program's file"):
        load_run(copied)


def test_settings_changed_after_training_are_refused(copied: Path) -> None:
    edit(copied / CONFIG_FILE, lambda value: value["config"]["windows"].update(width=4))
    with pytest.raises(TrainingError, match=r"config\.json is not the one"):
        load_run(copied)


def test_weights_of_other_shapes_are_refused_before_they_are_read(copied: Path, tmp_path: Path) -> None:
    edit(copied / CONFIG_FILE, lambda value: value["config"]["aligner"].update(dim=20))
    with pytest.raises(TrainingError, match=r"must have shape \(8, 20\), got \(8, 16\)"):
        load_run(copied)


def test_weights_of_another_run_are_refused(copied: Path, tmp_path: Path) -> None:
    other = toy_trainer(tmp_path / "other", toy_config(fit={"seed": 5}))
    other.finish_epoch()
    shutil.copy(tmp_path / "other" / ALIGNER_FILE, copied / ALIGNER_FILE)
    with pytest.raises(TrainingError, match="keep the files of a run together"):
        load_run(copied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(format="other"), "not the config.json of a run"),
        (lambda v: v.update(format_version=2), "newer than this program"),
        (lambda v: v.pop("config"), "not the config.json of a run"),
        (lambda v: v["config"]["fit"].update(epochs="many"), "fit.epochs"),
        (lambda v: v["config"]["fit"].update(momentum=1), "momentum"),
        (
            lambda v: v["backbone"].update(version=99),
            "the run was made with another backbone: version is 99 there, 1 here",
        ),
        (lambda v: v["config"]["backbone"].update(name="nobody"), "no backbone 'nobody'"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(copied: Path, change, message: str) -> None:
    edit(copied / CONFIG_FILE, change)
    with pytest.raises(TrainingError, match=message):
        load_run(copied)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff\xfe", b'{"format": "pinpoint-run"}'])
def test_a_foreign_config_is_refused(copied: Path, content: bytes) -> None:
    (copied / CONFIG_FILE).write_bytes(content)
    with pytest.raises(TrainingError, match=r"config\.json"):
        load_run(copied)


def test_folders_that_are_no_runs_are_refused(tmp_path: Path, copied: Path) -> None:
    with pytest.raises(TrainingError, match="is no run"):
        load_run(tmp_path / "nothing")
    (copied / ALIGNER_FILE).unlink()
    with pytest.raises(TrainingError, match="no epoch of it was finished"):
        load_run(copied)


def test_a_run_without_its_documents_is_refused(copied: Path) -> None:
    (copied / DOCUMENTS_FILE).write_text("{}")
    with pytest.raises(TrainingError, match=r"documents\.json"):
        load_run(copied)


def test_ocr_grid_runs_load(tmp_path: Path) -> None:
    run = load_run(tiny_run(tmp_path / "tiny", train=("a",), validation=("b",)))
    assert run.backbone.name == "ocr-grid" and run.documents == {"train": ["a"], "validation": ["b"]}


def test_a_tensor_file_is_the_same_bytes_for_the_same_content(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(3.0), "a": torch.ones(2, 2), "n": torch.tensor(3.0)}
    facts = {"z": 1, "a": [1, None]}
    write_tensors(tmp_path / "one", "kind", tensors, facts)
    write_tensors(tmp_path / "two", "kind", dict(reversed(tensors.items())), dict(reversed(facts.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    read, found = read_tensors(tmp_path / "one", "kind")
    assert found == facts and all(torch.equal(read[name], tensors[name]) for name in tensors)
    with pytest.raises(TrainingError, match="expected other, found kind"):
        read_tensors(tmp_path / "one", "other")
    with pytest.raises(TrainingError, match="lacks c"):
        read_tensors(tmp_path / "one", "kind", {"a": (2, 2), "b": (3,), "n": (), "c": (1,)})
    with pytest.raises(TrainingError, match="unknown n"):
        read_tensors(tmp_path / "one", "kind", {"a": (2, 2), "b": (3,)})
