"""A whole annotation campaign against a real Label Studio, as a script and as the core of a test.

    python -m tests.e2e.campaign OUT --tasks 500

Generated documents of the three official layouts, proposals, an upload that is killed half way and taken up again,
three annotators of different habits who work through the API, pull, agreement, adjudication, publication. The truth is
known, so the end can be judged: the adjudicated boxes must be better than those of every single annotator.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.ratios import Ratio, hand_over
from pinpoint_data.workspace import Workspace
from tests.annotation.browser import chromium_page, sign_in
from tests.annotation.server import PASSWORD, LabelStudio, running_label_studio
from tests.e2e.simulated_annotators import Habits, Truth, f1_at, work_on

LAYOUTS = ("infovqa", "spdocvqa", "mpdocvqa")
PROJECT = "evidence campaign"
PEOPLE = {
    "careful@example.com": Habits(jitter=0.04, miss=0.08, extra=0.08),
    "hasty@example.com": Habits(jitter=0.09, miss=0.15, extra=0.20, slip=0.05),
    "uneven@example.com": Habits(jitter=0.06, miss=0.20, extra=0.12, skip=0.06, draft=0.04),
}


@dataclass
class Result:
    """What the campaign came to.

    Attributes:
        tasks: Tasks sent.
        at_kill: Tasks on the server when the upload was killed.
        duplicates: Questions that stand on the server more than once.
        missing: Questions that do not stand there.
        pulled: How `pull` accounts for the tasks.
        pulled_again: The same, of a second pull with nothing new.
        f1: F1 at IoU 0.5 against the truth, over the questions that were adjudicated, by annotator and `adjudicated`.
        published: Rows of the published dataset with status `evidence`.
        seconds: How long each step took.
    """

    tasks: int
    at_kill: int
    duplicates: int
    missing: int
    pulled: dict[str, int]
    pulled_again: dict[str, int]
    f1: dict[str, float]
    published: int
    seconds: dict[str, float]


def pinpoint(*arguments: object, key: str = "", ok: Sequence[int] = (0,)) -> str:
    """Run a command; what it prints."""
    command = [sys.executable, "-P", "-m", "pinpoint_data", *map(str, arguments)]
    environment = os.environ | ({"LABEL_STUDIO_API_KEY": key} if key else {})
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment)
    assert done.returncode in ok, f"{command}\n{done.stdout}\n{done.stderr}"
    assert not key or key not in done.stdout + done.stderr
    return done.stdout


def prepare(out: Path, tasks: int, seed: int = 5) -> tuple[Path, dict[str, Truth]]:
    """A workspace with about `tasks` questions and their proposals, and the truth by question id."""
    drawn, workspace = out / "generated", out / "workspace"
    pinpoint("generate", drawn, "--layout", "all", "--documents", max(1, round(tasks / 38)), "--seed", seed)
    truth: dict[str, Truth] = {}
    for layout in LAYOUTS:
        pinpoint("ingest", layout, drawn / layout, "--workspace", workspace)
        for line in (drawn / layout / "gold_evidence.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            boxes = tuple((box["page"], tuple(box["xyxy"]), box["role"]) for box in record["evidence"])
            truth[f"{layout}/{record['questionId']}"] = Truth(boxes)
    pinpoint("words", workspace)
    pinpoint("propose", workspace)
    return workspace, truth


def all_tasks(server: LabelStudio, project: int, token: str) -> list[dict[str, Any]]:
    """Every task of a project as the raw export shows it."""
    answer = httpx2.get(
        f"{server.url}/api/projects/{project}/export",
        params={"exportType": "JSON", "download_all_tasks": "true"},
        headers=server.headers(token),
        timeout=300,
    )
    answer.raise_for_status()
    tasks: list[dict[str, Any]] = answer.json()
    return tasks


def project_id(server: LabelStudio) -> int | None:
    """The project's id, if it is there yet."""
    answer = httpx2.get(
        f"{server.url}/api/projects", params={"page_size": 1000}, headers=server.headers(server.token), timeout=60
    )
    answer.raise_for_status()
    return next((p["id"] for p in answer.json()["results"] if p["title"] == PROJECT), None)


def push_and_kill(server: LabelStudio, arguments: Sequence[str], tasks: int) -> int:
    """Start an upload and kill it once a third of the tasks is there; how many were there then."""
    environment = os.environ | {"LABEL_STUDIO_API_KEY": server.token}
    command = [sys.executable, "-P", "-m", "pinpoint_data", *arguments]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        found = 0
        while process.poll() is None and found < tasks // 3:
            time.sleep(0.05)
            if (project := project_id(server)) is not None:
                answer = httpx2.get(
                    f"{server.url}/api/projects/{project}", headers=server.headers(server.token), timeout=60
                )
                found = answer.json()["task_number"]
        assert process.poll() is None, (
            f"the upload ended before it was killed: {process.stderr and process.stderr.read()}"
        )
        process.kill()
    return found


def annotate(
    server: LabelStudio, tasks: Sequence[dict[str, Any]], truth: Mapping[str, Truth], seed: int = 11
) -> dict[str, str]:
    """Everybody works on every task; returns e-mail -> annotator name in the workspace."""
    names = {}
    for number, (email, habits) in enumerate(PEOPLE.items()):
        token = server.make_user(email)
        rng = random.Random(seed + number)
        with httpx2.Client(base_url=server.url, headers=server.headers(token), timeout=120) as person:
            me = person.get("/api/current-user/whoami").raise_for_status().json()
            names[email] = f"label-studio:{me['id']}"
            for task in tasks:
                work = work_on(task, truth[task["data"]["question_id"]], habits, rng)
                body = {"result": work.result, "was_cancelled": work.skipped, "lead_time": work.lead_time}
                place = "drafts" if work.draft and not work.skipped else "annotations"
                person.post(f"/api/tasks/{task['id']}/{place}", json=body, follow_redirects=True).raise_for_status()
    return names


def boxes_of(workspace: Workspace, truth: Mapping[str, Truth], names: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """F1 of every annotator and of the adjudicated evidence, over the questions with an adjudicated verdict."""
    decided = {row["question_id"] for row in workspace.iter_rows("verdicts") if row["status"] == "evidence"}
    drawn: dict[str, dict[str, list[Any]]] = {name: {} for name in [*names.values(), "adjudicated"]}
    for row in workspace.iter_rows("annotations"):
        if row["region_id"] is not None and row["annotator"] in drawn:
            box = (row["page_index"], (row["x0"], row["y0"], row["x1"], row["y1"]))
            drawn[row["annotator"]].setdefault(row["question_id"], []).append(box)
    for row in workspace.iter_rows("evidence"):
        box = (row["page_index"], (row["x0"], row["y0"], row["x1"], row["y1"]))
        drawn["adjudicated"].setdefault(row["question_id"], []).append(box)
    for name, by_question in drawn.items():
        totals: Counter[str] = Counter()
        for question_id in sorted(decided):
            there = [(page, box) for page, box, _ in truth[question_id].boxes]
            hits, made, known = f1_at(there, by_question.get(question_id, []))
            totals += Counter(hits=hits, made=made, known=known)
        yield name, 2 * totals["hits"] / max(1, totals["made"] + totals["known"])


def run_campaign(out: Path, server: LabelStudio, tasks: int, pictures: Path | None = None) -> Result:
    """The whole campaign in the empty folder `out`; a task and the report are photographed into `pictures`."""
    from datasets import load_dataset

    seconds: dict[str, float] = {}
    clock = time.monotonic()

    def lap(step: str) -> None:
        nonlocal clock
        seconds[step], clock = time.monotonic() - clock, time.monotonic()

    folder, truth = prepare(out, tasks)
    tasks = len(truth)
    lap("prepare")
    where = ("--url", server.url, "--project", PROJECT)
    push = ("label-studio", "push", str(folder), *where, "--prelabel", "proposal:*", "--overlap", "3")
    at_kill = push_and_kill(server, [*push, "--chunk", str(max(5, tasks // 20))], tasks)
    lap("upload until the kill")
    pinpoint(*push, key=server.token)
    pinpoint(*push, key=server.token)
    lap("upload resumed, and once more")
    project = project_id(server)
    assert project is not None
    sent = all_tasks(server, project, server.token)
    counts = Counter(task["data"]["pinpoint_id"] for task in sent)
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        picture_of_task(server, sent, pictures)
    names = annotate(server, [json.loads(json.dumps(t)) for t in with_predictions(server, sent)], truth)
    lap("three people annotate")
    pull = ("label-studio", "pull", folder, *where, "--json")
    first = json.loads(pinpoint(*pull, key=server.token, ok=(0, 1)))
    again = json.loads(pinpoint(*pull, key=server.token, ok=(0, 1)))
    lap("pull, and once more")
    pinpoint("agreement", folder, "--out", out / "agreement.json")
    pinpoint("adjudicate", folder, "--quorum", "2", ok=(0, 1))
    pinpoint("validate", folder, ok=(0, 1))
    pinpoint("report", folder, out / "report.html")
    lap("agreement, adjudication, report")
    if pictures is not None:
        picture_of_report(out / "report.html", pictures)
    pinpoint("publish", folder, out / "dataset", ok=(0, 1))
    published = 0
    for layout in LAYOUTS:
        rows = load_dataset(str(out / "dataset"), layout, split="train", cache_dir=str(out / "cache"))
        published += sum(status == "evidence" for status in rows["status"])
    lap("publish and load_dataset")
    f1 = dict(boxes_of(Workspace.open(folder), truth, names))
    return Result(
        tasks=len(counts),
        at_kill=at_kill,
        duplicates=sum(n - 1 for n in counts.values()),
        missing=len(truth.keys() - counts.keys()),
        pulled=first["tasks"],
        pulled_again=again["tasks"],
        f1=f1,
        published=published,
        seconds=seconds,
    )


def with_predictions(server: LabelStudio, tasks: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Tasks with whole predictions: what the annotator's editor is given."""
    with httpx2.Client(base_url=server.url, headers=server.headers(server.token), timeout=60) as client:
        for task in tasks:
            yield client.get(f"/api/tasks/{task['id']}/", follow_redirects=True).raise_for_status().json()


def picture_of_task(server: LabelStudio, tasks: Sequence[dict[str, Any]], out: Path) -> None:
    """`task.jpg`: a task that nobody has touched, whose boxes stand in the upper half of its first page."""

    def well_placed(task: dict[str, Any]) -> bool:
        regions = list((task["data"]["prelabel"] or {"regions": {}})["regions"].values())
        middle = task["data"]["items"][0]["height"] / 2
        seen = [r for r in regions if r["item_index"] == 0 and r["xyxy"][3] < middle]
        return len(seen) == len(regions) > 1

    chosen = next(filter(well_placed, tasks), tasks[0])
    with chromium_page(width=1400, height=1100, timeout_s=60) as (page, _):
        sign_in(page, server.url, server.email, PASSWORD)
        page.goto(f"{server.url}/projects/{project_id(server)}/data?task={chosen['id']}")
        page.wait_for_selector("canvas")
        page.wait_for_timeout(3000)
        page.screenshot(path=out / "task.jpg", quality=80)


def picture_of_report(report: Path, out: Path) -> None:
    """`report.jpg`: how the report begins."""
    with chromium_page(width=1400, height=1000) as (page, _):
        page.goto(report.resolve().as_uri())
        page.wait_for_timeout(1000)
        page.screenshot(path=out / "report.jpg", quality=80)


def main() -> None:
    """Run it and print what it came to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="save a task and the report as a browser shows them"
    )
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    with running_label_studio(options.out / "label-studio") as server:
        result = run_campaign(options.out, server, options.tasks, options.pictures)
    sys.stdout.write(json.dumps(vars(result), indent=2) + "\n")
    alone = max((name for name in result.f1 if name != "adjudicated"), key=lambda name: result.f1[name])
    what, theirs = "boxes of a simulated campaign", result.f1[alone]
    hand_over([Ratio(what, "F1 at IoU .5", result.f1["adjudicated"], f"the best annotator ({alone})", theirs, False)])


if __name__ == "__main__":
    main()
