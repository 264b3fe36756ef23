"""The main job end to end: generated documents (or the user's own) to a trained selector, shown on one page.

Every step is a command of ours, printed and run in a process of its own, so that what is shown is what a user
would type. Nothing is imported from the packages above this one.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pinpoint_data.atomic import atomic_path, write_text
from pinpoint_data.draw import draw_evidence
from pinpoint_data.errors import PinpointError, UsageError
from pinpoint_data.pages import load_page
from pinpoint_data.workspace import Workspace

LAYOUTS = ("infovqa", "spdocvqa", "mpdocvqa")


@dataclass(frozen=True)
class Step:
    """A command that was run, with what it printed."""

    title: str
    command: str
    output: str
    seconds: float


@dataclass(frozen=True)
class Example:
    """A question on a page that the aligner has never seen."""

    image: Path
    ocr: Path
    question: str
    answers: list[str]


class Runner:
    """Prints each command, runs it, and remembers it for the page."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def pinpoint(self, title: str, *arguments: object, findings_ok: bool = False) -> str:
        """Run a `pinpoint` command; with `findings_ok`, exit code 1 (something was refused) does not end the demo."""
        words = [str(argument) for argument in arguments]
        return self._run(title, "pinpoint", words, [sys.executable, "-P", "-m", "pinpoint_data", *words], findings_ok)

    def python(self, title: str, code: str) -> str:
        """Run a line of Python in a fresh interpreter."""
        return self._run(title, "python", ["-c", code], [sys.executable, "-P", "-c", code], False)

    def _run(self, title: str, name: str, words: list[str], command: list[str], findings_ok: bool) -> str:
        shown = shlex.join([name, *words])
        click.echo(click.style(f"\n# {title}", fg="cyan") + "\n" + click.style(f"$ {shown}", bold=True))
        started = time.monotonic()
        lines = []
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, encoding="utf-8", errors="replace"
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                click.echo(line, nl=False)
        self.steps.append(Step(title, shown, "".join(lines), time.monotonic() - started))
        if process.returncode and not (findings_ok and process.returncode == 1):
            raise PinpointError(f"the demo ends here: `{shown}` ended with exit code {process.returncode}")
        return "".join(lines)


def run_demo(out: Path, *, source: tuple[str, Path] | None, documents: int, seed: int) -> None:
    """Run the main job into the new folder `out` and write `out/index.html`.

    Args:
        out: A folder that does not exist yet, or is empty.
        source: Layout and root folder of the user's own files, or None for generated documents.
        documents: Generated documents a layout.
        seed: Of the generator and the training.

    Raises:
        UsageError: `out` is not empty.
        PinpointError: A step failed; its own message stands above.
    """
    if out.exists() and any(out.iterdir()):
        raise UsageError("is not empty", file=out, remedy="name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    runner = Runner()
    workspace, dataset, run = out / "workspace", out / "dataset", out / "run"
    held_out = _prepare(runner, out, workspace, source, documents, seed)
    runner.pinpoint("Words of every page, from the OCR files", "words", workspace, findings_ok=True)
    runner.pinpoint("Propose evidence boxes from the words", "propose", workspace, findings_ok=True)
    runner.pinpoint("How good are they?", "evaluate-proposals", workspace, findings_ok=True)
    tasks = ("label-studio", "export", workspace, out / "label-studio", "--prelabel", "proposal:*")
    runner.pinpoint("Tasks for annotators, the proposals drawn already", *tasks, findings_ok=True)
    runner.pinpoint("Check boxes, answers and tables", "validate", workspace, findings_ok=True)
    runner.pinpoint("Publish; the folder is loaded back and compared", "publish", workspace, dataset)
    name = sorted(Workspace.open(workspace).sources)[0]
    load = f"from datasets import load_dataset; d = load_dataset({str(dataset.resolve())!r}, {name!r}, split='train')"
    runner.python("Any tool can open it", f"{load}; print(d); print(d[0]['question'], d[0]['evidence'])")
    runner.pinpoint("Window labels for the grid of a Qwen2-VL", "windows", dataset, "--grid", "qwen2-vl")
    common = ("--dataset", dataset, "--workspace", workspace)
    runner.pinpoint("Train the aligner", "train", run, *common, "--set", f"seed={seed}")
    runner.pinpoint(
        "Score it on documents it was not trained on", "evaluate", run, *common, "--out", out / "evaluation"
    )
    shipped = [_select(runner, example, out / f"select-{i}") for i, example in enumerate(held_out)]
    trained = [_select(runner, example, out / f"select-{i}-aligner", run) for i, example in enumerate(held_out)]
    pictures = list(zip(held_out, shipped, trained, strict=True))
    _write_page(out, runner.steps, _gold_pictures(workspace, out), pictures)
    click.echo(f"\nThe whole story on one page: {out / 'index.html'}")


def _prepare(
    runner: Runner, out: Path, workspace: Path, source: tuple[str, Path] | None, documents: int, seed: int
) -> list[Example]:
    """Generate and ingest; returns the questions that `select` is tried on."""
    has_gold = source is not None and (source[1] / "gold_evidence.jsonl").is_file()
    if not has_gold:
        drawn = out / "generated"
        drawing = ("--layout", "all", "--documents", documents, "--seed", seed)
        runner.pinpoint("Draw documents with true evidence boxes", "generate", drawn, *drawing)
        for layout in LAYOUTS:
            _ingest(runner, layout, drawn / layout, workspace, f"generated-{layout}", gold=True)
    if source is not None:
        layout, root = source
        _ingest(runner, layout, root, workspace, layout, gold=has_gold)
        return _first_questions(workspace, layout)
    unseen = out / "unseen"
    arguments = ("--layout", "infovqa", "--documents", 3, "--seed", seed + 1, "--split", "validation")
    runner.pinpoint("Draw pages that training never sees", "generate", unseen, *arguments)
    return _unseen_questions(unseen)


def _ingest(runner: Runner, layout: str, root: Path, workspace: Path, name: str, *, gold: bool) -> None:
    evidence = ("--evidence", root / "gold_evidence.jsonl") if gold else ()
    arguments = ("ingest", layout, root, "--workspace", workspace, "--name", name, *evidence)
    runner.pinpoint(f"Read {layout}", *arguments, findings_ok=True)


def _unseen_questions(root: Path, count: int = 3) -> list[Example]:
    """One question of each of the first pages of a generated infovqa folder."""
    file = next(root.rglob("infographicsVQA_*.json"))
    records = json.loads(file.read_text(encoding="utf-8"))["data"]
    examples: dict[str, Example] = {}
    for record in records:
        image = next(root.rglob(record["image_local_name"]))
        ocr = next(root.rglob(record["ocr_output_file"]))
        examples.setdefault(str(image), Example(image, ocr, record["question"], record.get("answers", [])))
    return list(examples.values())[:count]


def _first_questions(workspace: Path, source: str, count: int = 3) -> list[Example]:
    """The first questions of the user's source whose page has an OCR file, one a page."""
    ws = Workspace.open(workspace)
    root = ws.root_of(source)
    parts = [part for part in ws.parts("questions") if part.startswith(f"{source}-")]
    pages = {row["page_id"]: row for row in ws.iter_rows("pages", parts) if row["ocr_path"]}
    examples: dict[str, Example] = {}
    for row in ws.iter_rows("questions", parts):
        page = pages.get(row["page_ids"][row["answer_page_index"] or 0])
        if page and page["path"] not in examples:
            examples[page["path"]] = Example(
                root / page["path"], root / page["ocr_path"], row["question"], row["answers"]
            )
        if len(examples) == count:
            break
    return list(examples.values())


def _select(runner: Runner, example: Example, out: Path, run: Path | None = None) -> Path:
    arguments = (example.image, example.question, "--words", example.ocr, "--budget", "0.25", "--out", out)
    if run is None:
        runner.pinpoint("The regions this question needs, by the shipped ranker", "select", *arguments)
    else:
        runner.pinpoint("The same by the aligner just trained", "select", *arguments, "--run", run)
    return next(out.glob("*.png"))


def _gold_pictures(workspace: Path, out: Path) -> list[tuple[str, str]]:
    """One page a source with the gold boxes of its first question drawn in: (file name, question)."""
    ws = Workspace.open(workspace)
    pictures = []
    for source in sorted(ws.sources):
        parts = [part for part in ws.parts("questions") if part.startswith(f"{source}-")]
        gold = [part for part in ws.parts("annotations") if part.startswith(f"{source}-") and part.endswith(".gold")]
        boxes = [row for row in ws.iter_rows("annotations", gold) if row["region_id"] is not None]
        if not boxes:
            continue
        first = boxes[0]
        question = next(q for q in ws.iter_rows("questions", parts) if q["question_id"] == first["question_id"])
        page_id = question["page_ids"][first["page_index"]]
        page = next(row for row in ws.iter_rows("pages", parts) if row["page_id"] == page_id)
        mine = [b for b in boxes if (b["question_id"], b["page_index"]) == (first["question_id"], first["page_index"])]
        picture = draw_evidence(
            load_page(ws.root_of(source), page),
            [(b["x0"], b["y0"], b["x1"], b["y1"]) for b in mine],
            [b["role"] for b in mine],
        )
        with atomic_path(out / f"gold-{source}.png") as beside:
            picture.save(beside, format="PNG")
        pictures.append((f"gold-{source}.png", question["question"]))
    return pictures


def _write_page(
    out: Path, steps: Sequence[Step], gold: list[tuple[str, str]], selected: list[tuple[Example, Path, Path]]
) -> None:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("pinpoint_data"), autoescape=True, undefined=StrictUndefined)
    shown: list[dict[str, Any]] = [
        {
            "question": example.question,
            "answers": example.answers,
            "ranker": ranker.relative_to(out).as_posix(),
            "aligner": aligner.relative_to(out).as_posix(),
        }
        for example, ranker, aligner in selected
    ]
    html = environment.get_template("demo.html").render(
        steps=steps, gold=gold, selected=shown, seconds=sum(step.seconds for step in steps)
    )
    write_text(out / "index.html", html)
