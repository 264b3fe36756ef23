"""SARIF 2.1.0: what the standard requires of a log, and texts of strangers in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pinpoint_data.validation import validate
from pinpoint_data.validation.run import BUILT_IN
from pinpoint_data.validation.sarif import to_sarif
from tests.validation.build import Row, page, pinpoint, question, region, toy, verdict

# Object -> its properties in the schema of the standard that are used here; the required ones are marked.
SCHEMA = {
    "log": {"$schema", "version!", "runs!"},
    "run": {"tool!", "originalUriBaseIds", "results"},
    "tool": {"driver!"},
    "driver": {"name!", "version", "rules"},
    "rule": {"id!", "shortDescription", "fullDescription", "help", "defaultConfiguration"},
    "result": {"ruleId", "ruleIndex", "level", "message!", "locations", "partialFingerprints"},
    "location": {"physicalLocation", "logicalLocations"},
    "physical": {"artifactLocation!"},
    "artifact": {"uri", "uriBaseId"},
    "logical": {"name", "fullyQualifiedName", "kind"},
    "message": {"text!"},
}


def check(kind: str, found: dict[str, Any]) -> dict[str, Any]:
    """The object has all that the standard requires and nothing that it does not know."""
    known = {name.rstrip("!") for name in SCHEMA[kind]}
    required = {name.rstrip("!") for name in SCHEMA[kind] if name.endswith("!")}
    assert required <= found.keys() <= known, kind
    return found


def checked(log: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of a log that holds to the standard."""
    check("log", log)
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    check("run", run)
    driver = check("driver", check("tool", run["tool"])["driver"])
    for rule in driver["rules"]:
        check("rule", rule)
        assert rule["defaultConfiguration"]["level"] in {"none", "note", "warning", "error"}
        assert all(check("message", rule[name])["text"] for name in ("shortDescription", "fullDescription", "help"))
    for result in run["results"]:
        check("result", result)
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"none", "note", "warning", "error"}
        assert check("message", result["message"])["text"]
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
        for location in result["locations"]:
            artifact = check(
                "artifact", check("physical", check("location", location)["physicalLocation"])["artifactLocation"]
            )
            assert artifact["uriBaseId"] in run["originalUriBaseIds"]
            assert re.fullmatch(r"[A-Za-z0-9._~/%-]+", artifact["uri"])
            for logical in location.get("logicalLocations", ()):
                assert all(isinstance(value, str) and value for value in check("logical", logical).values())
    return list(run["results"])


def bad(path: Path) -> Any:
    rows = [
        verdict(),
        region((0, 0, 2000, 9)),
        region((0, 0, 2000, 9), region_id="r1"),
        region((9, 9, 5, 5), region_id="r2"),
    ]
    return toy(path, rows, questions=[question(), question("toy/q1", ["toy/gone"])])


def test_the_log_of_a_bad_workspace(tmp_path: Path) -> None:
    report = validate(bad(tmp_path / "ws"))
    results = checked(to_sarif(report))
    assert [r["ruleId"] for r in results] == [f.code for f in report.findings]
    first = results[0]
    assert first["level"] == "error"
    assert first["message"]["text"].startswith("annotations: toy/q0, page 0, region r0, by gold:toy: reaches 1000 px")
    [location] = first["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "annotations/toy-train.parquet"
    [logical] = location["logicalLocations"]
    assert logical["name"] == "r0"
    path = "annotations/question_id=toy%2Fq0/annotator=gold%3Atoy/page_index=0/region_id=r0"
    assert logical["fullyQualifiedName"] == path


def test_a_sound_workspace_has_a_log_without_results(tmp_path: Path) -> None:
    log = to_sarif(validate(toy(tmp_path / "ws")))
    assert checked(log) == []
    assert [rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]] == [rule.code for rule in BUILT_IN]


def test_info_is_a_note(tmp_path: Path) -> None:
    made = toy(tmp_path / "ws", words=[])
    assert [(r["ruleId"], r["level"]) for r in checked(to_sarif(validate(made)))] == [("page-without-words", "note")]


def prints(path: Path, *boxes: tuple[float, ...]) -> list[str]:
    rows = [region(xyxy, region_id=f"r{i}") for i, xyxy in enumerate(boxes)]
    results = to_sarif(validate(toy(path, rows), codes=["box-outside-page", "duplicate-id"]))["runs"][0]["results"]
    return [result["partialFingerprints"]["pinpointRow/v1"] for result in results]


def test_a_fingerprint_stands_for_a_row_and_not_for_its_numbers(tmp_path: Path) -> None:
    first = prints(tmp_path / "a", (0, 0, 1001, 9), (0, 0, 1002, 9))
    assert len(set(first)) == 2
    assert prints(tmp_path / "b", (0, 0, 1500, 9), (3, 3, 1002, 9)) == first
    assert prints(tmp_path / "c", (0, 0, 50, 9), (0, 0, 1002, 9)) == first[1:]


def test_fingerprints_of_one_log_differ_even_for_equal_ids(tmp_path: Path) -> None:
    rows = [region((0, 0, 2000 + i, 9)) for i in range(3)]
    results = checked(to_sarif(validate(toy(tmp_path / "ws", rows), codes=["box-outside-page"])))
    assert len({result["partialFingerprints"]["pinpointRow/v1"] for result in results}) == 3


def test_texts_of_strangers_are_neither_links_nor_placeholders_nor_control_characters(tmp_path: Path) -> None:
    name = "toy/[click](https://evil.example) {0} \x1b[31m\n\u202e<script>../../"
    rows: list[Row] = [verdict(name), region((0, 0, 2000, 9), name, "r/../#?%41", annotator="a\x00b")]
    made = toy(tmp_path / "ws", rows, pages=[page()], questions=[question(name)])
    log = to_sarif(validate(made, codes=["box-outside-page"]))
    [result] = checked(log)
    text = result["message"]["text"]
    assert "](" not in text
    assert "{{0}}" in text
    assert text.isprintable()
    [logical] = result["locations"][0]["logicalLocations"]
    *_, region_id = logical["fullyQualifiedName"].split("/")
    assert unquote(region_id) == "region_id=r/../#?%41"
    json.dumps(log, allow_nan=False).encode("ascii")


def test_the_command_prints_nothing_but_the_log(tmp_path: Path) -> None:
    made = bad(tmp_path / "ws")
    done = pinpoint("validate", made.path, "--format", "sarif")
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout) == to_sarif(validate(made))
    assert str(tmp_path) not in done.stdout
    fixed = pinpoint("validate", made.path, "--format", "sarif", "--fix", "--tolerance", "1000")
    assert checked(json.loads(fixed.stdout))
    assert fixed.stderr.startswith("drop annotations/toy-train: toy/q0, page 0, region r1")


def test_format_json_is_json(tmp_path: Path) -> None:
    made = bad(tmp_path / "ws")
    assert (
        pinpoint("validate", made.path, "--format", "json").stdout == pinpoint("validate", made.path, "--json").stdout
    )
