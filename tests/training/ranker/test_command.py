"""`pinpoint ranker`, from a published dataset to files, as a user sees it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from loaders.publishing import publish
from pinpoint_data.errors import PinpointError, TrainingError, UsageError
from pinpoint_data.workspace import Workspace
from tests.loaders.build import page, question, regions, write_part
from training.commands.ranker import ranker
from training.pages.store import PageStore
from training.ranker import SHIPPED, Ranker, ranker_names

NOUNS = ("revenue", "costs", "profit")
TINY = ("--set", "members=1", "--set", "hidden=8", "--set", "epochs=2", "--set", "per_source=6", "--set", "batch=4")
WIDTH, HEIGHT = 300, 240
SHARED = 3
"""How many pages of `forms` are in `files` too."""


def fill(folder: Path, documents: int = 10, shared: int = SHARED) -> Path:
    """`forms`, a page a document, and `files`, which holds some of the same pages under other names."""
    ws = Workspace.create(folder / "ws")
    for name in ("forms", "files"):
        ws.register_source(name, "records", folder)
    for number in range(documents):
        Image.new("RGB", (WIDTH, HEIGHT), (255, 250 - number, 250)).save(folder / f"{number}.png")
    for source, numbers in (("forms", range(documents)), ("files", range(shared))):
        pages, asked, gold, words = [], [], [], []
        for number in numbers:
            id_ = f"{source}/{number}"
            data = (folder / f"{number}.png").read_bytes()
            pages.append(page(id_, f"{number}.png", data, width=WIDTH, height=HEIGHT, doc_id=id_))
            for place, noun in enumerate(NOUNS):
                x, y = 20.0 + 30 * number % 150, 20.0 + 70 * place
                box = {"x0": x, "y0": y, "x1": x + 70, "y1": y + 14}
                words.append({"page_id": id_, "line": 0, "text": noun, "confidence": None, "engine": "test", **box})
                asked.append(question(f"{id_}-{noun}", "train", [id_], doc_id=id_, question=f"How large are {noun}?"))
                gold += regions(f"{id_}-{noun}", [(x, y, x + 70, y + 14)])
        asked.append(question(f"{source}/odd", "train", [f"{source}/0"], doc_id=f"{source}/0"))
        gold += regions(f"{source}/odd", [], status="not_found")
        write_part(ws, f"{source}-train", pages, asked, gold, words)
    return ws.path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranker")
    publish(Workspace.open(fill(folder)), folder / "dataset")
    return folder


def invoke(made: Path, out: Path, *arguments: str, tiny: Sequence[str] = TINY) -> Result:
    places = ["--dataset", str(made / "dataset"), "--workspace", str(made / "ws")]
    return CliRunner().invoke(ranker, ["train", str(out), *places, *tiny, *arguments], catch_exceptions=False)


def failure(made: Path, out: Path, *arguments: str) -> PinpointError:
    with pytest.raises(PinpointError) as caught:
        invoke(made, out, *arguments)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.fixture(scope="module")
def trained(made: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("out") / "mine"
    done = invoke(made, out, "--folds", "3", "--license", "For tests alone.", "--json")
    assert done.exit_code == 0
    return out, done


class TestTrain:
    def test_writes_a_ranker_its_documents_and_its_card(self, trained: tuple[Path, Result]) -> None:
        out, _ = trained
        assert {file.name for file in out.iterdir()} == {"ranker.safetensors", "documents.json", "README.md"}
        found = Ranker.load(out)
        assert found.name == "mine" and found.members == 1 and found.facts["licence"] == "For tests alone."

    def test_says_what_it_did_as_json(self, trained: tuple[Path, Result]) -> None:
        out, done = trained
        payload = json.loads(done.stdout)
        documents = json.loads((out / "documents.json").read_text())
        assert payload["out"] == str(out) and payload["refused"] == {} and "pages" not in payload
        assert payload["documents"] == {side: len(names) for side, names in documents.items()}
        assert sum(payload["questions"].values()) == len(NOUNS) * len(documents["train"])
        assert payload["left_out"].get("status not_found", 0) <= 2 and payload["settings"]["epochs"] == 2
        assert sum("loss" in line for line in done.stderr.splitlines()) == 2

    def test_holds_out_a_part_of_each_source_and_never_half_a_page(
        self, made: Path, trained: tuple[Path, Result]
    ) -> None:
        documents = json.loads((trained[0] / "documents.json").read_text())
        learnt, held = set(documents["train"]), set(documents["validation"])
        assert not learnt & held and len(learnt | held) == 10 + SHARED
        for number in range(SHARED):
            assert (f"forms/{number}" in held) == (f"files/{number}" in held)
        assert len([name for name in held if name.startswith("forms/")]) in (3, 4)

    def test_knows_the_pages_it_has_learnt_from(self, made: Path, trained: tuple[Path, Result]) -> None:
        found, store = Ranker.load(trained[0]), PageStore(Workspace.open(made / "ws"))
        documents = json.loads((trained[0] / "documents.json").read_text())
        assert all(found.has_learnt(store.row(name)) for name in documents["train"])
        assert not any(found.has_learnt(store.row(name)) for name in documents["validation"])

    def test_the_card_says_it_all(self, trained: tuple[Path, Result]) -> None:
        card = (trained[0] / "README.md").read_text()
        documents = json.loads((trained[0] / "documents.json").read_text())
        for part in (
            "# mine",
            "For tests alone.",
            f"{len(documents['train'])} documents were learnt from and {len(documents['validation'])} held out",
            "part 1 of 3",
            "epochs 2",
            "| forms |",
            "| files |",
        ):
            assert part in card, part

    def test_one_fold_holds_nothing_out(self, made: Path, tmp_path: Path) -> None:
        done = invoke(made, tmp_path / "all", "--folds", "1", "--source", "forms")
        documents = json.loads((tmp_path / "all" / "documents.json").read_text())
        assert len(documents["train"]) == 10 and documents["validation"] == []
        assert "30 of forms; 10 documents learnt from, 0 held out" in done.stdout
        assert "left out: status not_found: 1" in done.stdout and f"written {tmp_path / 'all'}" in done.stdout

    def test_the_same_seed_writes_the_same_bytes(
        self, made: Path, trained: tuple[Path, Result], tmp_path: Path
    ) -> None:
        invoke(made, tmp_path / "mine", "--folds", "3", "--license", "For tests alone.")
        for file in trained[0].iterdir():
            assert (tmp_path / "mine" / file.name).read_bytes() == file.read_bytes(), file.name

    def test_a_page_that_is_gone_is_refused_and_the_rest_goes_on(self, made: Path, tmp_path: Path) -> None:
        file = made / "9.png"
        data = file.read_bytes()
        file.write_bytes(b"no image")
        try:
            done = invoke(made, tmp_path / "rest", "--folds", "1", "--source", "forms", "--json")
        finally:
            file.write_bytes(data)
        payload = json.loads(done.stdout)
        assert done.exit_code == 1 and payload["refused"] == {"wrong-type": 3}
        assert payload["documents"]["train"] == 9 and Ranker.load(tmp_path / "rest").members == 1


class TestMisuse:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--set", "epoch=3"], "settings are members, hidden"),
            (["--set", "epochs"], "each as key=value"),
            (["--set", "epochs=many"], "--set epochs"),
            (["--set", "epochs=0"], "epochs must be at least 1, got 0"),
            (["--set", "tokens=1"], "tokens must be at least 2"),
            (["--source", "nobody"], "nobody"),
        ],
    )
    def test_is_refused_and_leaves_nothing_behind(
        self, made: Path, tmp_path: Path, arguments: list[str], message: str
    ) -> None:
        assert message in str(failure(made, tmp_path / "out", *arguments))
        assert not list(tmp_path.iterdir())

    def test_a_folder_with_something_in_it(self, made: Path, tmp_path: Path) -> None:
        (tmp_path / "kept.txt").write_text("mine")
        error = failure(made, tmp_path)
        assert isinstance(error, UsageError) and "never overwritten" in str(error)
        assert [file.name for file in tmp_path.iterdir()] == ["kept.txt"]

    def test_a_dataset_of_one_document(self, tmp_path: Path) -> None:
        publish(Workspace.open(fill(tmp_path, documents=1, shared=1)), tmp_path / "dataset")
        error = failure(tmp_path, tmp_path / "out")
        assert "all of its documents are in the first of 5 parts" in str(error) and "--folds 1" in str(error)
        assert invoke(tmp_path, tmp_path / "out", "--folds", "1").exit_code == 0

    def test_no_folds(self, made: Path, tmp_path: Path) -> None:
        done = invoke(made, tmp_path / "out", "--folds", "0")
        assert done.exit_code == 2 and "0 is not in the range" in done.stderr

    def test_another_workspace(self, made: Path, tmp_path: Path) -> None:
        Workspace.create(tmp_path / "other")
        error = failure(made, tmp_path / "out", "--workspace", str(tmp_path / "other"))
        assert isinstance(error, TrainingError) and "is not in the workspace" in str(error)
        assert not (tmp_path / "out").exists()


class TestInfo:
    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(ranker, ["info", *arguments], catch_exceptions=False)

    def test_shows_the_card_of_a_folder_or_a_file(self, trained: tuple[Path, Result]) -> None:
        card = (trained[0] / "README.md").read_text()
        assert self.run(str(trained[0])).stdout.strip() == card.strip()
        assert "# ranker\n" in self.run(str(trained[0] / "ranker.safetensors")).stdout

    def test_as_json(self, trained: tuple[Path, Result]) -> None:
        payload = json.loads(self.run(str(trained[0]), "--json").stdout)
        assert payload["name"] == "mine" and payload["shipped"] == ranker_names() and "pages" not in payload
        assert payload["folds"] == 3 and payload["settings"]["hidden"] == 8

    def test_the_shipped_one_by_default(self) -> None:
        assert SHIPPED in ranker_names()
        assert f"# {SHIPPED}\n" in self.run().stdout

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no ranker 'nobody'"):
            self.run("nobody")
