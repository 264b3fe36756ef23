"""Folders from strangers: their names stay inside, what they point to is not followed, their code is not run."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from annotation.label_studio.preflight.images import ImageSample
from loaders import load_samples, publish
from loaders.join import join_images
from loaders.manifest import read_manifest
from loaders.windows import add_windows
from pinpoint_data.atomic import write_text
from pinpoint_data.errors import DatasetError, TrainingError, UsageError
from pinpoint_data.sources import ingest
from pinpoint_data.workspace import Workspace
from tests.annotation import export_build
from tests.annotation.test_preflight import findings
from tests.loaders.build import add_source
from tests.sources.build import png, put, put_lines, rows

SECRET = png(31, 17, "green")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stranger")
    ws = Workspace.create(folder / "ws")
    add_source(ws, "infovqa", folder / "infovqa")
    return publish(ws, folder / "dataset").path


@pytest.fixture
def dataset(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "in" / "dataset"))


def edit(file: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(file.read_text(encoding="utf-8"))
    change(value)
    file.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a web server, and the paths that it was asked for."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()
        thread.join()


class TestDatasetFolder:
    @pytest.mark.parametrize("name", ["../../out", "/tmp/out", "a/b", "..", "", ".hidden", "a\\b", "a\0b", "a b"])
    def test_names_of_configs_stay_names(self, dataset: Path, tmp_path: Path, name: str) -> None:
        def rename(manifest: Any) -> None:
            pages = next(config for config in manifest["configs"] if config["kind"] == "pages")
            pages["name"] = name

        edit(dataset / "pinpoint.json", rename)
        for command in (
            lambda: join_images(dataset, tmp_path, tmp_path / "joined"),
            lambda: add_windows(dataset, "patches"),
            lambda: next(load_samples(dataset)),
        ):
            with pytest.raises(DatasetError, match="damaged"):
                command()
        assert {path.name for path in tmp_path.iterdir()} == {"in"}

    @pytest.mark.parametrize("split", ["../train", "train-0", "TRAIN", ""])
    def test_names_of_splits_stay_names(self, dataset: Path, split: str) -> None:
        def rename(manifest: Any) -> None:
            splits = manifest["configs"][0]["splits"]
            splits[split] = splits.pop("train")

        edit(dataset / "pinpoint.json", rename)
        with pytest.raises(DatasetError, match="damaged"):
            read_manifest(dataset)

    @pytest.mark.parametrize(
        "change",
        [
            lambda m: m["configs"].append(m["configs"][0]),
            lambda m: m["configs"][0].update(splits=[]),
            lambda m: m["configs"][0].update(features=[1]),
            lambda m: m["configs"][0].update(kind="program"),
            lambda m: m["configs"][0]["splits"]["train"].update(rows="many"),
            lambda m: m["configs"][0]["splits"]["train"].update(rows=0),
            lambda m: m["configs"][0]["splits"]["train"].update(files=[]),
            lambda m: m["configs"][0]["splits"]["train"].update(facts={"status": [1]}),
            lambda m: m["configs"][0]["splits"]["train"]["files"][0].update(path="pages/train-00000-of-00001.parquet"),
            lambda m: m["configs"][0]["splits"]["train"]["files"][0].update(path="infovqa/../infovqa/x.parquet"),
            lambda m: m["configs"][0].update(settings={"reader": 7}),
            lambda m: m["configs"][0]["settings"].update(left_out={"a": "many"}),
            lambda m: m.update(configs={}),
            lambda m: m.update(title=None),
            lambda m: m.update(format_version="x"),
        ],
    )
    def test_a_manifest_of_other_types_is_damaged(self, dataset: Path, change: Callable[[Any], None]) -> None:
        edit(dataset / "pinpoint.json", change)
        with pytest.raises(DatasetError, match="damaged"):
            read_manifest(dataset)

    def test_the_card_is_not_asked_where_the_rows_are(self, dataset: Path, asked: tuple[str, list[str]]) -> None:
        url, paths = asked
        shutil.copytree(dataset / "infovqa", dataset.parent / "elsewhere")
        header = "configs:\n- config_name: infovqa\n  data_files:\n  - split: train\n    path: "
        expected = list(load_samples(dataset))
        for place in (f"{url}/x.parquet", "../elsewhere/*.parquet", "hf://datasets/a/b/c.parquet", "/etc/*"):
            (dataset / "README.md").write_text(f"---\n{header}{place}\n---\n# Card\n", encoding="utf-8")
            assert list(load_samples(dataset)) == expected
            add_windows(dataset, "patches")
        assert paths == []

    @pytest.mark.parametrize(
        "card",
        [
            b"---\n\xff\xfe---\n",
            b"---\na: [\n---\n",
            b"---\na: *b\n---\n",
            b"---\na: 2026-13-45\n---\n",
            b"---\n- list\n---\n",
            b"---\n" + b"[" * 3000 + b"\n---\n",
            b"---\nconfigs: !!python/object/apply:os.system ['touch owned']\n---\n",
        ],
        ids=("no text", "open list", "no anchor", "no date", "a list", "deep", "a call"),
    )
    def test_a_card_that_cannot_be_read_ends_in_a_line(
        self, dataset: Path, card: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(dataset.parent)
        (dataset / "README.md").write_bytes(card)
        try:
            add_windows(dataset, "patches")
        except DatasetError as error:
            assert "README.md" in str(error)
        assert not (dataset.parent / "owned").exists()

    def test_rows_of_other_columns_are_named(self, dataset: Path) -> None:
        import pyarrow.parquet as pq

        file = dataset / "infovqa" / "train-00000-of-00001.parquet"
        table = pq.read_table(file)
        place = table.column_names.index("pages")
        for changed in (table.drop(["pages"]), table.set_column(place, "pages", table["question"])):
            pq.write_table(changed, file)
            with pytest.raises(DatasetError, match="no column pages of type list"):
                next(load_samples(dataset))

    def test_a_row_without_its_pages_is_named(self, dataset: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = dataset / "infovqa" / "train-00000-of-00001.parquet"
        table = pq.read_table(file)
        place = table.column_names.index("pages")
        pq.write_table(table.set_column(place, "pages", pa.nulls(table.num_rows, table["pages"].type)), file)
        with pytest.raises(DatasetError, match="infovqa/train, row 0: a value is missing: pages"):
            next(load_samples(dataset))


def test_paths_in_a_saved_dataset_are_not_followed(tmp_path: Path) -> None:
    """A saved dataset holds its images; a path in its place would bring any file of ours into the workspace."""
    secret = put(tmp_path / "secret.png", SECRET)
    row = {"questionId": "1", "question": "?", "answers": ["x"], "image": {"bytes": None, "path": str(secret)}}
    datasets.Dataset.from_list([row]).save_to_disk(tmp_path / "saved")
    report = ingest(tmp_path / "ws", "huggingface", tmp_path / "saved")
    assert dict(report.outcome.refused) == {"missing-image": 1}
    assert not any(path.read_bytes() == SECRET for path in (tmp_path / "ws").rglob("*") if path.is_file())


def test_a_record_above_the_limit_is_one_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinpoint_data.sources.json_files.MAX_RECORD_CHARS", 1000)
    put(tmp_path / "a.png", png())
    good = {"question_id": "g", "question": "?", "image": "a.png"}
    long = good | {"question": "?" * 5000}
    path = put_lines(tmp_path / "q.jsonl", [good, long, good | {"question_id": "h"}, long | {"question_id": "i"}])
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    report = ingest(tmp_path / "ws", "records", path)
    assert [problem.record for problem in report.outcome.problems] == ["line 2", "line 4"]
    assert [row["question_id"] for row in rows(tmp_path / "ws", "questions")] == ["records/g", "records/h"]


@pytest.mark.parametrize("path", ["%2e%2e/%2e%2e/out.png", "..%2fout.png", "%252e%252e/out.png", "a%00.png", "file:/x"])
def test_percent_signs_in_paths_of_records_are_plain_characters(tmp_path: Path, path: str) -> None:
    put(tmp_path / "out.png", SECRET)
    put_lines(tmp_path / "in" / "q.jsonl", [{"question_id": "1", "question": "?", "image": path}])
    report = ingest(tmp_path / "ws", "records", tmp_path / "in" / "q.jsonl")
    expected = "path-escapes-root" if ":" in path else "missing-image"
    assert dict(report.outcome.refused) == {expected: 1}


@pytest.mark.parametrize(
    "tail",
    ["../../out.png", "%2e%2e/%2e%2e/out.png", "..%2f..%2fout.png", "pages/../../../out.png", "link/out.png"],
)
def test_addresses_in_tasks_stay_in_the_document_root(tmp_path: Path, tail: str) -> None:
    root = tmp_path / "a" / "root"
    (root / "pages").mkdir(parents=True)
    put(tmp_path / "out.png", SECRET)
    put(tmp_path / "a" / "out.png", SECRET)
    (root / "link").symlink_to(tmp_path)
    ws = export_build.workspace(tmp_path)
    task = next(iter(export_build.tasks(ws).values()))
    payload = {"data": task.data | {"pages": [f"/data/local-files/?d={tail}"]}, "predictions": []}
    seen: list[Path] = []
    sample = ImageSample(5, root)
    opened = Path.read_bytes

    def watch(path: Path) -> bytes:
        seen.append(path.resolve())
        return opened(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", watch)
        found = findings([payload], images=sample)
    assert found and all(path.is_relative_to(root.resolve()) for path in seen)


class TestRun:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Path:
        from tests.training.runs import tiny_run

        return tiny_run(tmp_path / "run")

    @pytest.mark.parametrize("name", ["subprocess:run", "os:system", "builtins:eval", "shutil:rmtree"])
    def test_settings_call_nothing_that_is_no_backbone(self, run: Path, tmp_path: Path, name: str) -> None:
        from training import load_run

        marker = tmp_path / "owned"
        given = {"subprocess:run": {"args": ["touch", str(marker)]}, "os:system": {"command": f"touch {marker}"}}
        given |= {"shutil:rmtree": {"path": str(tmp_path)}}
        edit(run / "config.json", lambda c: c["config"]["backbone"].update(name=name, options=given.get(name, {})))
        with pytest.raises(TrainingError, match="is no backbone"):
            load_run(run)
        assert run.is_dir() and not marker.exists()

    def test_a_function_that_makes_a_backbone_is_called_for_its_user_and_for_a_trusted_run(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from training import load_run
        from training.backbones import make_backbone

        text = (
            "from training.backbones.ocr_grid import OcrGrid\n\ndef make(**options):\n    return OcrGrid(**options)\n"
        )
        put(tmp_path / "code" / "users_own.py", text)
        monkeypatch.syspath_prepend(str(tmp_path / "code"))
        edit(run / "config.json", lambda c: c["config"]["backbone"].update(name="users_own:make"))
        expected = make_backbone("users_own:make").spec()
        assert expected["name"] == "ocr-grid"
        with pytest.raises(TrainingError, match="is no backbone"):
            load_run(run)
        monkeypatch.setenv("PINPOINT_TRUST", "users_own")
        with pytest.raises(TrainingError, match="keep the files of a run together"):  # its settings were changed here
            load_run(run)
        sys.modules.pop("users_own", None)

    def test_code_that_a_run_names_is_imported_only_when_it_is_trusted(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from training import load_run

        module = tmp_path / "code" / "strangers_own.py"
        put(module, f"import pathlib\npathlib.Path({str(tmp_path / 'owned')!r}).touch()\n")
        monkeypatch.syspath_prepend(str(module.parent))
        edit(run / "config.json", lambda c: c["config"]["backbone"].update(name="strangers_own:Backbone", options={}))
        with pytest.raises(TrainingError, match="set PINPOINT_TRUST=strangers_own"):
            load_run(run)
        assert not (tmp_path / "owned").exists()
        monkeypatch.setenv("PINPOINT_TRUST", "other, strangers_own")
        with pytest.raises(TrainingError, match="cannot be imported"):
            load_run(run)
        assert (tmp_path / "owned").exists()
        sys.modules.pop("strangers_own", None)


class TestPlantedLinks:
    @pytest.mark.parametrize("planted", ["report.html", ".report.html.tmp"])
    def test_a_link_in_the_place_of_what_is_written_is_replaced(self, tmp_path: Path, planted: str) -> None:
        victim = put(tmp_path / "victim", b"mine")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / planted).symlink_to(victim)
        write_text(tmp_path / "out" / "report.html", "new")
        written = tmp_path / "out" / "report.html"
        assert victim.read_bytes() == b"mine"
        assert written.read_text() == "new" and not written.is_symlink()

    def test_a_link_to_a_folder_is_not_written_through(self, tmp_path: Path) -> None:
        (tmp_path / "victim").mkdir()
        (tmp_path / "out").symlink_to(tmp_path / "nowhere")
        with pytest.raises((OSError, UsageError)):
            write_text(tmp_path / "out" / "a", "x")
        assert not list((tmp_path / "victim").iterdir())

    @pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX")
    @pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
    def test_files_respect_the_umask(self, tmp_path: Path, mask: int, mode: int) -> None:
        before = os.umask(mask)
        try:
            write_text(tmp_path / "a", "x")
        finally:
            os.umask(before)
        assert (tmp_path / "a").stat().st_mode & 0o777 == mode
