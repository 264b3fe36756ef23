"""What the hostile campaign found, each fault once: a line and an exit code where there was none."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pinpoint_data import pages, pdf_guard, small_files
from pinpoint_data.errors import PageError, PinpointError, SourceError, UsageError, WorkspaceError
from pinpoint_data.pages import PageFile, probe_pdf
from pinpoint_data.small_files import MOST_BYTES, read_small
from pinpoint_data.sources import ingest
from pinpoint_data.sources.json_files import read_lines
from pinpoint_data.tables import read_part
from pinpoint_data.validation.revisions import fix, undo
from pinpoint_data.workspace import Workspace
from tests.annotation import report_build
from tests.campaigns.hostile import bombs
from tests.loaders.build import page, picture, question, regions, write
from tests.sources.build import mp_record, mpdocvqa, pdf, put
from tests.validation.build import pinpoint

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """One page, one question, one box that stands twice."""
    made = Workspace.create(tmp_path / "ws")
    put(tmp_path / "p.png", picture(120, 80))
    made.register_source("toy", "records", tmp_path)
    write(made, "pages", "toy-train", [page("toy/p", "p.png")])
    write(made, "questions", "toy-train", [question("toy/q", "train", ["toy/p"])])
    write(made, "annotations", "toy-train.gold", regions("toy/q", [(1.0, 2.0, 30.0, 20.0)] * 2))
    return made


@needs_pipes
class TestPipes:
    """Opening one would wait for ever; an archive may hold it."""

    def test_in_a_source(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "train.jsonl")
        with pytest.raises(SourceError, match="not a regular file"):
            ingest(tmp_path / "ws", "records", tmp_path)
        with pytest.raises(SourceError, match="not a regular file"):
            list(read_lines(tmp_path / "train.jsonl"))

    def test_in_a_workspace(self, ws: Workspace) -> None:
        part = ws.part_path("pages", "toy-train")
        part.unlink()
        os.mkfifo(part)
        with pytest.raises(WorkspaceError, match="not a regular file"):
            read_part("pages", part)

    def test_in_a_saved_dataset(self, tmp_path: Path) -> None:
        datasets.Dataset.from_list([{"questionId": "1"}]).save_to_disk(tmp_path / "saved")
        [file] = (tmp_path / "saved").glob("*.arrow")
        file.unlink()
        os.mkfifo(file)
        with pytest.raises(SourceError, match="not a regular file"):
            ingest(tmp_path / "ws", "huggingface", tmp_path / "saved")

    def test_a_link_to_nowhere_in_a_saved_dataset_is_nobodys_business(self, tmp_path: Path) -> None:
        row = {"questionId": "1", "question": "?", "answers": ["x"], "image": {"bytes": picture(60, 40), "path": None}}
        found = datasets.Dataset.from_list([row]).cast_column("image", datasets.Image(decode=False))
        found.save_to_disk(tmp_path / "saved")
        (tmp_path / "saved" / "notes").symlink_to(tmp_path / "not fetched")
        assert ingest(tmp_path / "ws", "huggingface", tmp_path / "saved").outcome.counts["questions"] == 1


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no endless file")
def test_files_without_an_end_are_not_read(ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (ws.path / "workspace.json").unlink()
    (ws.path / "workspace.json").symlink_to("/dev/zero")
    done = pinpoint("validate", ws.path)
    assert done.returncode == 1 and "workspace.json: is not a regular file" in done.stderr
    monkeypatch.setattr("pinpoint_data.small_files.MOST_BYTES", 10)
    with pytest.raises(OSError, match="is larger than"):
        read_small(put(tmp_path / "long", b"x" * 11))
    assert MOST_BYTES > 10


class TestTables:
    def test_rows_of_nothing_are_not_counted_out(self, tmp_path: Path) -> None:
        file = tmp_path / "in" / "train.parquet"
        file.parent.mkdir()
        pq.write_table(pa.table({"question": pa.nulls(10_000_000, pa.string())}), file)
        with pytest.raises(SourceError, match=r"claims 10,000,000 rows in [\d,]+ bytes"):
            ingest(tmp_path / "ws", "huggingface", tmp_path / "in")

    def test_offsets_of_a_saved_dataset_are_checked_before_they_are_used(self, tmp_path: Path) -> None:
        """Arrow follows them wherever they lead: it ended the process."""
        datasets.Dataset.from_list([{"questionId": "1", "question": "what?"}] * 9).save_to_disk(tmp_path / "saved")
        [file] = (tmp_path / "saved").glob("*.arrow")
        data = file.read_bytes()
        offsets = struct.pack("<4i", 0, 5, 10, 15)
        assert data.count(offsets) == 1
        file.write_bytes(data.replace(offsets, struct.pack("<4i", 0, 2**30, 10, 15)))
        with pytest.raises(SourceError, match="no readable saved dataset"):
            ingest(tmp_path / "ws", "huggingface", tmp_path / "saved")

    def test_links_in_a_circle_are_no_table(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "train.parquet").symlink_to("train.parquet")
        with pytest.raises(SourceError, match="no readable Parquet file"):
            ingest(tmp_path / "ws", "huggingface", tmp_path / "in")

    def test_pages_without_a_size_are_refused_by_name(self, ws: Workspace, tmp_path: Path) -> None:
        write(ws, "pages", "toy-train", [page("toy/p", "p.png", width=0)])
        done = pinpoint("label-studio", "export", ws.path, tmp_path / "tasks", "--jobs", "1", "--json")
        assert done.returncode == 1 and json.loads(done.stdout)["problems"][0]["code"] == "unreadable-image"

    @pytest.mark.parametrize("table", ["verdicts", "evidence"])
    def test_a_report_names_statuses_and_roles_that_are_none(self, tmp_path: Path, table: str) -> None:
        ws = report_build.campaign(tmp_path)
        rows = list(ws.iter_rows(table))
        write(ws, table, "toy-train", [row | {"status" if table == "verdicts" else "role": "odd"} for row in rows])
        done = pinpoint("report", ws.path, tmp_path / "report.html")
        assert done.returncode == 1 and "'odd'" in done.stdout + done.stderr


def test_a_revision_gives_back_only_what_it_took(ws: Workspace, tmp_path: Path) -> None:
    with ws.lock("test"):
        revision, _ = fix(ws)
    assert revision is not None
    [part] = revision.parts
    before, old = ws.part_path(part.table, part.part).read_bytes(), revision.old(part)
    old.unlink()
    old.symlink_to(put(tmp_path / "secret", b"mine"))
    with pytest.raises(WorkspaceError, match="not the part as it was"):
        undo(ws)
    assert ws.part_path(part.table, part.part).read_bytes() == before


@pytest.mark.parametrize("setting", ["fit.seed", "fit.epochs", "aligner.queries", "windows.width", "fit.batch"])
def test_numbers_beyond_counting_are_no_settings(setting: str) -> None:
    from training.config import load_config

    with pytest.raises(UsageError, match=f"{setting}: input should be less than or equal to"):
        load_config(settings=[f"{setting}={2**63}"])
    assert load_config(settings=["fit.seed=20261231235959"]).fit.seed == 20261231235959


class TestState:
    @pytest.fixture
    def trainer(self, tmp_path: Path) -> Any:
        from tests.training.toy import toy_config, toy_trainer

        trainer = toy_trainer(tmp_path / "run", toy_config())
        trainer.train_step()
        trainer.save_state()
        return trainer

    @pytest.mark.parametrize(
        "change",
        [
            {"step": -1},
            {"step": 10**9},
            {"step": "1"},
            {"best": {}},
            {"best": [1]},
            {"best": {"validation": {"other": 1.0}}},
            {"best": {"validation": {"recall": "high"}}},
        ],
    )
    def test_facts_that_are_none_are_named(self, trainer: Any, change: dict[str, Any]) -> None:
        from training.fitting.fit import _STATE_KIND
        from training.tensor_file import read_tensors, write_tensors

        file = trainer.folder / "state.safetensors"
        tensors, facts = read_tensors(file, _STATE_KIND)
        write_tensors(file, _STATE_KIND, tensors, facts | change)
        with pytest.raises(PinpointError, match="is not the state of this run"):
            trainer.load_state()

    def test_moments_of_another_shape_are_named(self, trainer: Any) -> None:
        from training.fitting.fit import _STATE_KIND
        from training.tensor_file import read_tensors, write_tensors

        file = trainer.folder / "state.safetensors"
        tensors, facts = read_tensors(file, _STATE_KIND)
        name = next(key for key, tensor in tensors.items() if key.startswith("optimizer.") and tensor.ndim == 2)
        write_tensors(file, _STATE_KIND, tensors | {name: tensors[name][:1]}, facts)
        with pytest.raises(PinpointError, match="has shape"):
            trainer.load_state()

    def test_moments_of_no_parameter_are_named(self, trainer: Any) -> None:
        from training.fitting.fit import _STATE_KIND
        from training.tensor_file import read_tensors, write_tensors

        file = trainer.folder / "state.safetensors"
        tensors, facts = read_tensors(file, _STATE_KIND)
        name = next(key for key, tensor in tensors.items() if key.startswith("optimizer.") and tensor.ndim == 2)
        write_tensors(file, _STATE_KIND, tensors | {"optimizer.1000.exp_avg": tensors[name].clone()}, facts)
        with pytest.raises(PinpointError, match="is not the state of this run"):
            trainer.load_state()


def test_an_interface_that_is_no_xml_is_named(tmp_path: Path) -> None:
    put(tmp_path / "tasks.json", [{"data": {}}])
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    for text in ("<View>", f'<!DOCTYPE v [<!ENTITY a0 "lol">{laughs}]><View>&a9;</View>'):
        put(tmp_path / "config.xml", text)
        done = pinpoint("label-studio", "preflight", tmp_path / "tasks.json", "--config", tmp_path / "config.xml")
        assert done.returncode == 2 and "config.xml: the labelling interface is not XML" in done.stderr


def test_long_values_do_not_fill_the_screen(tmp_path: Path) -> None:
    names = put(tmp_path / "names.json", {"4": "gold:" + "x" * 100_000})
    put(tmp_path / "export.json", [])
    Workspace.create(tmp_path / "ws")
    done = pinpoint("label-studio", "import", tmp_path / "ws", tmp_path / "export.json", "--names", names)
    assert done.returncode == 2 and "names.json" in done.stderr and len(done.stderr) < 2000


def test_an_ocr_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    put(tmp_path / "p.png", picture(120, 80))
    words = put(tmp_path / "words.json", "[1")
    done = pinpoint("select", tmp_path / "p.png", "What?", "--words", words, "--out", tmp_path / "out")
    assert done.returncode == 1 and f"{words}: is not JSON" in done.stderr


def test_a_table_of_names_with_an_endless_field_is_named(tmp_path: Path) -> None:
    names = put(tmp_path / "names.csv", "id,email," + "x" * 200_000 + "\n")
    put(tmp_path / "export.json", [])
    Workspace.create(tmp_path / "ws")
    done = pinpoint("label-studio", "import", tmp_path / "ws", tmp_path / "export.json", "--names", names)
    assert done.returncode == 2 and "names.csv: is no valid CSV" in done.stderr


def test_settings_of_a_run_of_other_types_are_named(tmp_path: Path) -> None:
    from tests.training.runs import tiny_run
    from training import load_run

    config = tiny_run(tmp_path / "run") / "config.json"
    described = json.loads(config.read_text())
    for name in ("data", "backbone", "config"):
        config.write_text(json.dumps(described | {name: 7}))
        with pytest.raises(PinpointError, match=r"is not the config\.json of a run"):
            load_run(tmp_path / "run")


def test_a_name_that_no_disk_takes_refuses_one_record(tmp_path: Path) -> None:
    good, long = mp_record(1), mp_record(2, page_ids=["x" * 5000], answer_page_idx=0)
    report = ingest(tmp_path / "ws", "mpdocvqa", mpdocvqa(tmp_path / "in", [good, long, mp_record(3)]))
    assert report.outcome.counts["questions"] == 2 and [one.record for one in report.outcome.problems] == ["2"]
    assert len(report.text()) < 10_000


def test_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    from tests.training.runs import tiny_run
    from training import load_run
    from training.tensor_file import read_tensors, write_tensors

    run = tiny_run(tmp_path / "run")
    tensors, facts = read_tensors(run / "aligner.safetensors", "pinpoint-aligner")
    name, tensor = next(iter(tensors.items()))
    write_tensors(run / "aligner.safetensors", "pinpoint-aligner", tensors | {name: tensor * float("nan")}, facts)
    with pytest.raises(PinpointError, match=r"aligner\.safetensors: .* not finite"):
        load_run(run)


def test_a_source_whose_folder_no_disk_can_have_is_named(ws: Workspace, tmp_path: Path) -> None:
    file = ws.path / "workspace.json"
    file.write_text(file.read_text().replace(str(tmp_path), "a/" * 3000))
    done = pinpoint("words", ws.path, "--jobs", "1")
    assert done.returncode == 1 and "the folder of source 'toy'" in done.stderr


def test_a_planted_lock_is_not_written_through(ws: Workspace, tmp_path: Path) -> None:
    victim = put(tmp_path / "victim", b"mine")
    (ws.path / ".lock").unlink(missing_ok=True)
    (ws.path / ".lock").symlink_to(victim)
    with pytest.raises((OSError, WorkspaceError)), ws.lock("test"):
        pass
    assert victim.read_bytes() == b"mine"


@pytest.mark.skipif(os.name != "posix", reason="no limits")
class TestPdfs:
    @pytest.fixture
    def guarded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
        """Let another guard look at PDFs: ours, with a piece of its source replaced."""
        source = Path(pdf_guard.__file__).read_text(encoding="utf-8")
        guard = pdf_guard._Guard()

        def replace(old: str, new: str) -> None:
            assert source.count(old) == 1
            monkeypatch.setattr(pdf_guard, "__file__", str(put(tmp_path / "guard.py", source.replace(old, new))))
            monkeypatch.setattr(pdf_guard, "_guard", guard)

        yield replace
        guard.close()

    def test_a_page_that_ends_its_process_is_refused_and_the_others_are_read(
        self, tmp_path: Path, guarded: Callable[[str, str], None]
    ) -> None:
        pdf(tmp_path / "a.pdf", [(100, 50)] * 3)
        guarded("pdf[number].close()", "os.kill(os.getpid(), 9) if number == 1 else pdf[number].close()")
        first, second, third = probe_pdf(tmp_path, "a.pdf")
        assert isinstance(second, PageError) and second.code == "decompression-bomb"
        assert isinstance(first, PageFile) and isinstance(third, PageFile) and third.pdf_page == 2

    def test_a_guard_that_others_end_refuses_nothing(self, tmp_path: Path, guarded: Callable[[str, str], None]) -> None:
        pdf(tmp_path / "a.pdf", [(100, 50)] * 3)
        ended = str(tmp_path / "ended")
        guarded("pdf[number].close()", f"os.path.exists({ended!r}) or (open({ended!r}, 'x'), os.kill(os.getpid(), 15))")
        assert all(isinstance(page, PageFile) for page in probe_pdf(tmp_path, "a.pdf"))
        assert (tmp_path / "ended").exists()
        process = pdf_guard._guard._process
        assert process is not None
        process.kill()
        process.wait()
        assert all(isinstance(page, PageFile) for page in probe_pdf(tmp_path, "a.pdf"))

    def test_pages_behind_many_that_take_too_long_are_not_tried(
        self, tmp_path: Path, guarded: Callable[[str, str], None]
    ) -> None:
        pdf(tmp_path / "a.pdf", [(100, 50)] * 6)
        tried = tmp_path / "tried"
        body = f"(Path({str(tried)!r}, str(number)).mkdir(parents=True), os.kill(os.getpid(), signal.SIGPROF))"
        guarded("pdf[number].close()", body)
        found = probe_pdf(tmp_path, "a.pdf")
        assert [isinstance(page, PageError) and page.code for page in found] == ["decompression-bomb"] * 6
        assert {path.name for path in tried.iterdir()} == {"0", "1", "2"}

    def test_a_guard_that_cannot_start_refuses_nothing(
        self, tmp_path: Path, guarded: Callable[[str, str], None]
    ) -> None:
        pdf(tmp_path / "a.pdf", [(100, 50)])
        guarded("import atexit\n", "raise SystemExit(1)\n")
        assert isinstance(probe_pdf(tmp_path, "a.pdf")[0], PageFile)

    def test_content_that_unfolds_twice_is_refused(self, tmp_path: Path, guarded: Callable[[str, str], None]) -> None:
        put(tmp_path / "a.pdf", bombs.pdf_flate())
        guarded("MORE_BYTES = 2 * 2**30", "MORE_BYTES = 2**28")
        [page] = probe_pdf(tmp_path, "a.pdf")
        assert isinstance(page, PageError) and page.code == "decompression-bomb"

    def test_more_pages_than_a_document_has_are_refused(self, tmp_path: Path) -> None:
        put(tmp_path / "a.pdf", bombs.pdf_many())
        with pytest.raises(PageError, match="100,000 pages are more than the 20,000 allowed"):
            probe_pdf(tmp_path, "a.pdf")

    def test_a_large_file_may_have_more_pages(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pdf(tmp_path / "a.pdf", [(100, 50)] * 3)
        monkeypatch.setattr(pages, "MAX_PDF_PAGES", 2)
        assert len(probe_pdf(tmp_path, "a.pdf")) == 3
        monkeypatch.setattr(pages, "PDF_PAGE_BYTES", 10_000)
        with pytest.raises(PageError, match="3 pages are more than the 2 allowed"):
            probe_pdf(tmp_path, "a.pdf")


class TestRowsOfTables:
    def test_a_list_with_an_empty_place_is_damage(self, ws: Workspace) -> None:
        write(ws, "questions", "toy-train", [question("toy/q", "train", ["toy/p"], answers=["a", None])])
        done = pinpoint("report", ws.path, ws.path.parent / "report.html")
        assert done.returncode == 1 and "a list of column answers has an empty place" in done.stderr

    def test_rows_that_are_claimed_and_not_there_are_damage(
        self, ws: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = pq.ParquetFile.iter_batches
        monkeypatch.setattr(
            pq.ParquetFile, "iter_batches", lambda *a, **k: (batch.slice(1) for batch in whole(*a, **k))
        )
        with pytest.raises(WorkspaceError, match="it holds 2 rows and claims 3"):
            read_part("annotations", ws.part_path("annotations", "toy-train.gold"))


def test_decisions_of_years_are_read_however_many_they_are(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from annotation.adjudication.overlay import Decision, append_decisions, read_overlay

    monkeypatch.setattr(small_files, "MOST_BYTES", 10)
    append_decisions(ws, [Decision("a", "no_evidence", (), "anna")])
    append_decisions(ws, [Decision("b", "no_evidence", (), "anna")])
    assert set(read_overlay(ws).decisions) == {"a", "b"}


def test_half_a_pair_in_a_log_is_an_unreadable_line(tmp_path: Path) -> None:
    from training.benchmark.log import BenchmarkLog

    row = '"scores": {}, "box_recall": [], "seconds": {}, "flops": {}, "clipped": 0.0, "device": '
    lines = [f'{{"key": "{key}", {row}"{device}"}}\n' for key, device in (("a", "\\ud800"), ("b", "\\ud83d\\ude00"))]
    put(tmp_path / "log.jsonl", "".join(lines))
    with BenchmarkLog(tmp_path / "log.jsonl") as log:
        assert log.get("a", (0, 7)) is None and log.get("b", (0, 7)) is not None and log.unreadable == 1
