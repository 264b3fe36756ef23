"""Make the rankers that come with the package anew: one from real pages, one from generated documents alone.

    python benchmarks/train_rankers.py DATA OUT [--documents 150] [--install]

DATA holds mmlongbench/ (MMDocIR) and funsd/; OUT is a folder for the workspace, the dataset and the rankers; what an
earlier call finished there is used again. Both are scored on real documents that they never saw. `--install` puts them
into training/ranker/weights, where the package takes them from. The same data, machine and versions give the same
bytes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from pinpoint_data.demo import Runner
from pinpoint_data.errors import PinpointError
from pinpoint_data.workspace import Workspace
from training.ranker.model import RANKER_FILE, SUFFIX
from training.ranker.train import CARD_FILE

BUDGETS = "0.05,0.10,0.25,0.60"
LAYOUTS = ("infovqa", "spdocvqa", "mpdocvqa")
REAL = {
    "mmdocir": ("mmdocir", "mmlongbench", ()),
    "mmdocir-documents": ("mmdocir", "mmlongbench", ("--pages", "document")),
    "funsd": ("funsd", "funsd", ()),
}
LICENCES = {
    "documents": (
        "CC BY-NC 4.0: research and other non-commercial use. Trained on pages of MMLongBench-Doc / MMDocIR (CC BY-NC "
        "4.0) and FUNSD (non-commercial research and education), which are not part of it."
    ),
    "generated": "Apache-2.0, as the program: trained on documents that the program drew itself.",
}
WEIGHTS = Path(__file__).resolve().parent.parent / "training" / "ranker" / "weights"


def read_sources(runner: Runner, data: Path, out: Path, documents: int) -> None:
    """Real and generated pages into one workspace, with words, and the dataset published from it."""
    workspace, drawn = out / "workspace", out / "drawn"
    done = Workspace.open(workspace).sources if workspace.exists() else {}
    for name, (reader, folder, options) in REAL.items():
        if name not in done:
            into = ("--workspace", workspace, "--name", name)
            runner.pinpoint(f"Read {name}", "ingest", reader, data / folder, *into, *options)
    if not drawn.exists():
        drawing = ("--layout", "all", "--documents", documents, "--seed", 1)
        runner.pinpoint("Draw documents", "generate", drawn, *drawing)
    for layout in LAYOUTS:
        if f"generated-{layout}" not in done:
            gold = ("--evidence", drawn / layout / "gold_evidence.jsonl")
            into = ("--workspace", workspace, "--name", f"generated-{layout}")
            runner.pinpoint(f"Read generated {layout}", "ingest", layout, drawn / layout, *into, *gold)
    if not (out / "dataset").exists():
        runner.pinpoint("Words", "words", workspace)
        runner.pinpoint("Publish", "publish", workspace, out / "dataset")


def train(runner: Runner, out: Path, name: str, sources: list[str]) -> None:
    """One ranker, unless it is there."""
    if (out / name / RANKER_FILE).exists():
        return
    chosen = [word for source in sources for word in ("--source", source)]
    common = ("--dataset", out / "dataset", "--workspace", out / "workspace")
    runner.pinpoint(f"Train {name}", "ranker", "train", out / name, *common, *chosen, "--license", LICENCES[name])


def score(runner: Runner, out: Path, name: str) -> None:
    """Score a ranker on real pages: on documents held out, or on all of them where it saw none."""
    common = ("--dataset", out / "dataset", "--workspace", out / "workspace", "--out", out / f"evaluation-{name}")
    sources = [word for source in REAL for word in ("--source", source)]
    split = ("--split", "all") if name == "generated" else ()
    runner.pinpoint(
        f"Score {name}", "evaluate", *common, *sources, *split, "--ranker", out / name, "--budgets", BUDGETS
    )


def make(runner: Runner, data: Path, out: Path, documents: int) -> None:
    """Both rankers with their scores, from the files of the sources on."""
    read_sources(runner, data, out, documents)
    train(runner, out, "documents", list(REAL))
    train(runner, out, "generated", [f"generated-{layout}" for layout in LAYOUTS])
    for name in LICENCES:
        score(runner, out, name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--documents", type=int, default=150, help="generated documents a layout")
    parser.add_argument("--install", action="store_true", help="put them into the package")
    arguments = parser.parse_args()
    out = arguments.out
    try:
        out.mkdir(parents=True, exist_ok=True)
        make(Runner(), arguments.data, out, arguments.documents)
    except PinpointError as error:
        sys.exit(str(error))
    for name in LICENCES:
        print(f"{name}: {(out / name / RANKER_FILE).stat().st_size:,} bytes")
        if arguments.install:
            WEIGHTS.mkdir(exist_ok=True)
            shutil.copyfile(out / name / RANKER_FILE, WEIGHTS / f"{name}{SUFFIX}")
            shutil.copyfile(out / name / CARD_FILE, WEIGHTS / f"{name}.md")


if __name__ == "__main__":
    main()
