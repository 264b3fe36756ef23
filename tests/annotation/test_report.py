"""`pinpoint report`: what the file holds, what it leaves out, and that strangers' text stays text."""

from __future__ import annotations

import json
import re
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from annotation.commands.report import report
from annotation.report import ReportOptions, write_report
from annotation.report.build import LISTED_QUESTIONS
from annotation.report.page import SCRIPTS, embedded
from annotation.report.pictures import PIXELS
from annotation.report.questions import letters
from annotation.report.statistics import histogram
from annotation.report.text import shown
from pinpoint_data.errors import UsageError
from pinpoint_data.workspace import Workspace
from tests.annotation.report_build import ANNA, HOSTILE, MARK, PEOPLE, RTL, campaign
from tests.loaders.build import page, picture, question, regions, write


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return campaign(tmp_path_factory.mktemp("campaign"))


def data_of(file: Path, name: str = "data") -> Any:
    """What a script element of the file holds, as a browser would read it."""
    html = file.read_text(encoding="utf-8")
    return json.loads(re.search(f'<script type="application/json" id="{name}">(.*?)</script>', html, re.DOTALL)[1])


@pytest.fixture(scope="module")
def data(ws: Workspace) -> Any:
    file = ws.path.parent / "module.html"
    write_report(ws, file)
    return data_of(file)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(report, [str(argument) for argument in arguments])


def by_id(data: Any) -> dict[str, Any]:
    return {row["id"]: row for row in data["questions"]}


class TestCommand:
    def test_says_what_it_wrote(self, ws, tmp_path):
        out = tmp_path / "new" / "report.html"
        result = invoke(ws.path, out, "--json")
        found = json.loads(result.stdout)
        assert result.exit_code == 0, result.output
        assert {"questions": 8, "listed": 8, "disputed": 2, "pictures": 4, "problems": []}.items() <= found.items()
        assert found["size"] == out.stat().st_size
        assert "8 of 8 questions, 2 disputed, 4 pictures" in invoke(ws.path, out).stdout

    def test_same_workspace_same_bytes(self, ws, tmp_path):
        files = [tmp_path / "a.html", tmp_path / "b.html"]
        for file in files:
            write_report(ws, file)
        assert files[0].read_bytes() == files[1].read_bytes()
        assert [path.name for path in tmp_path.iterdir() if path.suffix != ".html"] == []

    def test_only_the_most_disputed_questions(self, ws, tmp_path):
        invoke(ws.path, tmp_path / "r.html", "--questions", 2)
        found = data_of(tmp_path / "r.html")
        assert set(by_id(found)) == {"toy/pages", "toy/status"}
        assert found["progress"]["questions"] == 8
        assert found["sources"] == ["toy", "other"]

    def test_figures_are_over_all_questions_however_few_are_listed(self, ws, tmp_path, data):
        invoke(ws.path, tmp_path / "r.html", "--questions", 1, "--thumbnails", 0)
        found = data_of(tmp_path / "r.html")
        (listed,) = found["questions"]
        assert listed == {**by_id(data)[listed["id"]], "place": listed["place"]} | {"pages": listed["pages"]}
        for name in ("progress", "adjudication", "agreement", "statistics", "layers", "disputed"):
            assert found[name] == data[name], name
        assert [code["count"] for code in found["findings"]["codes"]] == [c["count"] for c in data["findings"]["codes"]]
        assert found["disputed"] == 2
        assert len(found["pages"]) == len(set(listed["pages"])) < len(data["pages"])

    def test_some_thousand_are_listed_unless_all_are_asked_for(self, ws, tmp_path, monkeypatch):
        assert ReportOptions().questions == LISTED_QUESTIONS == 5000
        asked = []
        monkeypatch.setattr("annotation.report.write_report", lambda ws, out, options: asked.append(options) or 1 / 0)
        for arguments in ([], ["--questions", "all"]):
            invoke(ws.path, tmp_path / "r.html", *arguments)
        assert [options.questions for options in asked] == [LISTED_QUESTIONS, None]

    def test_no_pictures(self, ws, tmp_path):
        assert invoke(ws.path, tmp_path / "r.html", "--thumbnails", 0).exit_code == 0
        assert data_of(tmp_path / "r.html", "pictures") == {}

    def test_chosen_annotators(self, ws, tmp_path):
        invoke(ws.path, tmp_path / "r.html", "--annotator", "label-studio:*", "--annotator", "gold:*")
        found = data_of(tmp_path / "r.html")
        assert [layer["name"] for layer in found["layers"]] == ["gold:toy", ANNA]
        assert {layer["kind"] for layer in found["layers"]} == {"person"}

    @pytest.mark.parametrize("value", ["0", "-1", "some", "1.5", "²"])
    def test_wrong_number_of_questions(self, ws, tmp_path, value):
        result = invoke(ws.path, tmp_path / "r.html", f"--questions={value}")
        assert result.exit_code == 2
        assert "at least 1, or all" in result.output

    def test_annotator_that_is_nobody(self, ws, tmp_path):
        with pytest.raises(UsageError, match="no annotation by 'bob'"):
            write_report(ws, tmp_path / "r.html", ReportOptions(annotators=("bob",)))
        assert not (tmp_path / "r.html").exists()

    def test_picture_that_cannot_be_read_is_named(self, ws, tmp_path):
        copy = Path(shutil.copytree(ws.path.parent, tmp_path / "copy"))
        (copy / "toy-wide.png").write_bytes(b"no picture")
        moved = Workspace.open(copy / "ws")
        for source in ("toy", "other"):
            moved.sources.pop(source)
            moved.register_source(source, "records", copy)
        result = invoke(moved.path, tmp_path / "r.html")
        assert result.exit_code == 1
        assert "left out 1: 1 wrong-type" in result.stdout
        assert "toy/wide" in result.stdout
        assert len(data_of(tmp_path / "r.html", "pictures")) == 3

    def test_workspace_without_annotations(self, tmp_path):
        empty = Workspace.create(tmp_path / "ws")
        assert invoke(empty.path, tmp_path / "empty.html").exit_code == 0
        write(empty, "questions", "toy-train", [question("toy/q", "train", ["toy/gone"])])
        assert invoke(empty.path, tmp_path / "r.html").exit_code == 0
        found = data_of(tmp_path / "r.html")
        assert found["agreement"] is None and found["statistics"] == []
        assert found["pages"] == [{"id": "toy/gone", "width": 0, "height": 0}]

    def test_damaged_rows_are_left_out_and_named(self, tmp_path):
        ws = Workspace.create(tmp_path / "ws")
        ws.register_source("toy", "records", tmp_path)
        (tmp_path / "p.png").write_bytes(picture(120, 80))
        write(ws, "pages", "toy-train", [page("toy/p", "p.png")])
        write(ws, "questions", "toy-train", [question("toy/q", "train", ["toy/p"])])
        boxes = [(5.0, 5.0, 1.0, 9.0), (float("nan"), 0.0, 1.0, 1.0), (1.0, 1.0, 1e100, 1e100)]
        rows = regions("toy/q", boxes, annotator="ann")
        rows[-1]["lead_time_s"] = float("inf")
        write(ws, "annotations", "toy-train.ann", rows)
        about = {"question_id": "toy/q", "page_index": 0, "role": "answer", "text": None, "votes": 1}
        about |= {"annotators": ["ann"], "score": None, "policy": "vote"}
        decided = [(float("nan"), 0.0, 1.0, 1.0), (-1e308, 0.0, 1e308, 1e308)]
        corners = [dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)) for box in decided]
        write(ws, "evidence", "toy-train", [about | box | {"evidence_id": f"e{n}"} for n, box in enumerate(corners)])
        result = invoke(ws.path, tmp_path / "r.html")
        assert result.exit_code == 1
        assert "left out 5: 5 bad-region" in result.stdout
        (row,) = data_of(tmp_path / "r.html")["questions"]
        assert row["judged"][0][2] is None and len(row["judged"][0][3]) == 0


class TestData:
    def test_progress(self, data):
        progress = data["progress"]
        assert progress["done_by"] == [2, 1, 4, 1]
        assert (progress["with_skip"], progress["with_draft"]) == (1, 1)
        anna = progress["annotators"][PEOPLE.index(ANNA)]
        assert (anna["done"], anna["statuses"]["skipped"], anna["boxes"]) == (5, 1, 6)
        assert anna["median_lead_s"] == 57.5
        assert anna["origins"] == {"accepted": 1, "moved": 0, "new": 5, "deleted": 0}
        assert (anna["first_day"], anna["last_day"]) == ("2025-03-03", "2025-03-03")
        assert [day["done"] for day in progress["days"]] == [[4, 0, 0], [0, 3, 0], [0, 0, 5]]
        other, toy = progress["sources"]
        assert (other["source"], other["done_by"], toy["questions"]) == ("other", [1], 7)

    def test_adjudication(self, data):
        found = data["adjudication"]
        assert (found["decided"], found["statuses"]) == (2, {"evidence": 1, "unanswerable": 1})
        assert found["open"] == {"status-conflict": 1, "held-back": 1}
        assert [source["decided"] for source in data["progress"]["sources"]] == [0, 2]
        assert found["decided_by"] == {"policy": 1, f"review:{MARK}": 1}
        assert found["votes"] == {"3": 1}

    def test_questions_are_in_the_order_of_dispute(self, data):
        ids = [row["id"] for row in data["questions"]]
        assert set(ids[:2]) == {"toy/pages", "toy/status"}
        assert ids[-3:] == ["other/nobody", "toy/open", "toy/single"]
        assert [row["disputed"] for row in data["questions"]] == [True] * 2 + [False] * 6

    def test_regions_keep_their_place(self, data):
        (_, status, lead, (region,)), *_, gold = by_id(data)["toy/agree"]["judged"]
        assert region == [0, 40.0, 30.0, 140.0, 60.0, 0, 0]
        assert (data["statuses"][status], lead) == ("evidence", 20.0)
        assert data["layers"][gold[0]] == {"name": "gold:toy", "kind": "gold", "tag": "gold"}
        assert by_id(data)["toy/agree"]["evidence"] == [[0, 40.0, 30.0, 140.0, 60.0, 0, 3]]
        turned = by_id(data)["toy/tall"]["judged"][0][3][0]
        assert turned[7:] == [28.0, 1500.0, 120.0, 1515.0, 112.0, 1545.0, 20.0, 1530.0]

    def test_findings_know_their_questions(self, data):
        codes = [code["code"] for code in data["findings"]["codes"]]
        outside = codes.index("box-outside-page")
        assert outside in by_id(data)["toy/single"]["findings"]
        (row,) = [row for row in data["findings"]["rows"] if row["code"] == outside]
        assert data["questions"][row["question"]]["id"] == "toy/single"
        assert f"by {ANNA}" in row["where"]
        assert all(code["remedy"] for code in data["findings"]["codes"])

    def test_agreement_names_annotators_by_number(self, data):
        agreement = data["agreement"]
        assert {(pair["first"], pair["second"]) for pair in agreement["pairs"]} == {(0, 1), (0, 2), (1, 2)}
        assert [row["layer"] for row in agreement["annotators"]] == [0, 1, 2]
        assert by_id(data)["toy/agree"]["agreement"]["dispute"] == 0
        assert by_id(data)["toy/open"]["agreement"] is None

    def test_statistics_of_each_group(self, data):
        groups = {group["name"]: group for group in data["statistics"]}
        assert list(groups) == ["Annotators", "Adjudicated", "Gold"]
        boxes = groups["Annotators"]["charts"][0]
        assert (boxes["n"], boxes["counts"][1:3]) == (11, [9, 2])
        assert groups["Gold"]["roles"] == {"answer": 1, "support": 0}


class TestText:
    def test_no_text_ends_its_element(self, ws, tmp_path):
        write_report(ws, tmp_path / "r.html")
        html = (tmp_path / "r.html").read_text(encoding="utf-8")
        assert html.count("<script") == html.count("</script>") == 3
        assert "<img src=x" not in html and "alert(3)</" not in html

    def test_direction_and_control_characters_become_visible(self):
        assert shown("a\u202eb\u2028\x1b[0m\u0000") == "a\\u202eb\\u2028\\u001b[0m\\u0000"
        assert shown("क्\u200dष\tx\n👩\u200d🔬") == "क्\u200dष\tx\n👩\u200d🔬"
        assert shown("\ud83d\ude00 \udc00") == "😀 \ufffd"

    @given(st.text(st.characters(exclude_categories=())))
    def test_any_text_can_be_embedded(self, text):
        made = str(embedded({"text": shown(text)}))
        assert "<" not in made and made.isascii()
        assert json.loads(made)["text"] == shown(text)
        shown(text).encode("utf-8")

    def test_names_are_kept_readable(self, data):
        assert [layer["name"] for layer in data["layers"][:3]] == [MARK, shown(RTL), ANNA]
        assert by_id(data)["toy/hostile"]["answers"] == [shown(text) for text in HOSTILE]

    def test_no_template_makes_markup_from_text(self):
        for name in SCRIPTS:
            source = (files("annotation.report") / "templates" / name).read_text(encoding="utf-8")
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|fetch", source
            )
            assert len(source.splitlines()) < 400

    def test_numbers_that_are_none_are_refused(self):
        with pytest.raises(ValueError, match="not JSON compliant"):
            embedded({"x": float("nan")})


class TestParts:
    def test_letters_go_on_after_z(self):
        assert [letters(place) for place in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]

    @given(st.lists(st.floats(0, 1e6), min_size=1))
    def test_histogram_counts_every_value(self, values):
        found = histogram("t", "px", (0, 10, 100), values)
        assert sum(found["counts"]) == len(values) == found["n"]
        assert found["counts"][0] == sum(value < 10 for value in values)
        assert found["counts"][2] == sum(value >= 100 for value in values)

    def test_pictures_stay_in_their_budget(self, tmp_path):
        import base64
        import io

        from PIL import Image

        from annotation.report.pictures import data_uri

        for size in ((5000, 4000), (900, 9000), (30, 20), (1, 89_000)):
            uri = data_uri(Image.new("RGB", size, "white"))
            image = Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))
            assert image.width * image.height <= 1.01 * PIXELS + max(image.size)
            assert image.size[0] <= size[0]
