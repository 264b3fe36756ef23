"""The main job step by step: what each command starts from, and what its result is compared by.

Every step runs in the same folder, `work`, which is put back to what the step before left: paths that a command keeps
are then the same in every run, and results can be compared byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.annotation.export_build import exported, submitted
from tests.e2e.simulated_annotators import Habits, Truth, work_on

REPO = Path(__file__).resolve().parents[3]
LAYOUT = "infovqa"
PEOPLE = {4: Habits(jitter=0.03), 5: Habits(jitter=0.08, miss=0.2, extra=0.3), 6: Habits(miss=0.3, slip=0.1)}
TRAINING = ("--set", "epochs=2", "--set", "batch=16", "--set", "save_minutes=0.002", "--cache", "features")


@dataclass(frozen=True)
class Step:
    """A command of the main job.

    Attributes:
        name: What it is called in tables.
        arguments: Of `pinpoint`, in the folder `work`.
        ok: Exit codes of a run that nothing disturbed.
        resumed: What the command says that one should run instead, where it was interrupted.
        tidied: What removes the leftovers of killed writers where several may write at once, so that no rerun can.
    """

    name: str
    arguments: tuple[str, ...]
    ok: tuple[int, ...] = (0,)
    resumed: tuple[str, ...] = ()
    tidied: tuple[str, ...] = ()


STEPS = (
    Step("ingest", ("ingest", LAYOUT, "drawn", "--workspace", "ws")),
    Step("words", ("words", "ws", "--jobs", "2")),
    Step("propose", ("propose", "ws", "--jobs", "2")),
    Step("import", ("label-studio", "import", "ws", "export.json"), ok=(0, 1)),
    Step("adjudicate", ("adjudicate", "ws", "--quorum", "2"), ok=(0, 1)),
    Step("publish", ("publish", "ws", "dataset", "--images", "pages"), ok=(0, 1)),
    Step(
        "features",
        ("features", "extract", "features", "--workspace", "ws", "--batch-tokens", "2000"),
        tidied=("features", "prune", "features", "--grace", "0"),
    ),
    Step(
        "train",
        ("train", "run", "--dataset", "dataset", "--workspace", "ws", *TRAINING),
        resumed=("train", "run", "--dataset", "dataset", "--workspace", "ws", "--cache", "features", "--resume"),
    ),
)


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative for a signal), what it printed, and the seconds it took."""

    code: int
    output: str
    seconds: float


@dataclass
class Chain:
    """The steps in a folder of their own.

    Attributes:
        out: Holds `work`, where commands run, and `states`, what each step starts from.
        expected: By step, `fingerprint` of what an undisturbed run leaves.
        seconds: By step, how long that run took.
    """

    out: Path
    expected: dict[str, dict[str, str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """Where commands run."""
        return self.out / "work"

    def prepare(self, documents: int, seed: int, steps: Sequence[Step] = STEPS) -> None:
        """Run the steps once, undisturbed, and keep what each started from and what it left."""
        self.work.mkdir(parents=True)
        drawn = ("generate", "drawn", "--layout", LAYOUT, "--documents", str(documents), "--seed", str(seed))
        expect(self.run(drawn), drawn)
        for step in steps:
            if step.name == "import":
                write_export(self, seed)
            shutil.copytree(self.work, self.out / "states" / step.name)
            ended = self.run(step.arguments)
            expect(ended, step.arguments, step.ok)
            self.expected[step.name] = fingerprint(self.work)
            self.seconds[step.name] = ended.seconds

    def restore(self, step: Step) -> None:
        """Put `work` back to what the step starts from."""
        self.restore_from(self.out / "states" / step.name)

    def restore_from(self, state: Path) -> None:
        """Put `work` back to a state that was kept; the folder itself stays, as it may be a mounted disk."""
        self.work.mkdir(exist_ok=True)
        for entry in self.work.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        shutil.copytree(state, self.work, dirs_exist_ok=True)

    def start(self, arguments: Sequence[str], *launcher: str) -> subprocess.Popen[str]:
        """Start a command in `work`, in a process group of its own."""
        program = launcher or ("-m", "pinpoint_data")
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=self.work,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")])},
            start_new_session=True,
        )

    def run(self, arguments: Sequence[str], *launcher: str) -> Ended:
        """Run a command in `work` to its end."""
        started = time.monotonic()
        with self.start(arguments, *launcher) as process:
            output, _ = process.communicate()
        return Ended(process.returncode, output, time.monotonic() - started)

    def finish(self, step: Step) -> Ended:
        """Run a step again after it was disturbed, as a user would: the same command, or what its message says."""
        ended = self.run(step.arguments)
        return self.run(step.resumed) if ended.code not in step.ok and step.resumed else ended


def expect(ended: Ended, arguments: Sequence[str], ok: Sequence[int] = (0,)) -> None:
    """Raise unless a command ended as it should.

    Raises:
        RuntimeError: It did not; the message has what it printed.
    """
    if ended.code not in ok or "Traceback" in ended.output:
        raise RuntimeError(f"{' '.join(arguments)}: exit code {ended.code}\n{ended.output}")


def write_export(chain: Chain, seed: int) -> None:
    """`work/export.json`: what three people made of the tasks, as Label Studio's raw export gives it."""
    tasks = ("label-studio", "export", "ws", "tasks", "--prelabel", "proposal:*")
    expect(chain.run(tasks), tasks)
    truth = read_truth(chain.work / "drawn" / "gold_evidence.jsonl")
    made: list[dict[str, Any]] = []
    for file in sorted((chain.work / "tasks").glob("tasks-*.json")):
        made += json.loads(file.read_text(encoding="utf-8"))
    found, number = [], 0
    rng = random.Random(seed)
    for index, task in enumerate(made, start=1):
        answers = []
        for person, habits in PEOPLE.items():
            number += 1
            work = work_on(task, truth[task["data"]["question_id"]], habits, rng)
            answers.append(submitted(number, work.result, person, was_cancelled=work.skipped))
        found.append(exported(task["data"], index, answers))
    shutil.rmtree(chain.work / "tasks")
    (chain.work / "export.json").write_text(json.dumps(found), encoding="utf-8")


def read_truth(file: Path) -> dict[str, Truth]:
    """The true evidence of generated questions, by question id."""
    truth = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        boxes = tuple((box["page"], tuple(box["xyxy"]), box["role"]) for box in record["evidence"])
        truth[f"{LAYOUT}/{record['questionId']}"] = Truth(boxes)
    return truth


def fingerprint(folder: Path) -> dict[str, str]:
    """What a folder holds, by relative path: every file, hidden ones and leftovers too, by its bytes.

    Two things differ from run to run by design and are compared by what they mean. A feature cache's shards have random
    names, so its entries stand for them, a line each, so that one that is there twice shows; what killed writers leave
    there is looked at by `writers_leftovers`. A run's metrics and card hold times, which are left out.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink() or not path.is_file() or _is_writers_leftover(path):
            continue
        if path.parent.name == "features" and path.name.startswith("shard-"):
            if path.suffix == ".parquet":
                for row in pq.read_table(path).to_pylist():
                    entry = f"{path.parent.name}/{row['sha256']}#{row['pdf_page']}"
                    found[f"{entry} again" if entry in found else entry] = row["checksum"]
        elif path.name == "metrics.jsonl":
            found[name] = _hash(repr(_without_times(path)).encode())
        elif path.parent.name == "run" and path.name == "README.md":
            found[name] = _hash(re.sub(rb"steps in [\d,]+ s", b"steps", path.read_bytes()))
        else:
            found[name] = _hash(path.read_bytes())
    return found


def writers_leftovers(folder: Path) -> list[str]:
    """Temporary files and shards without an index, which a cache keeps until it is pruned: several may write it."""
    return [path.name for path in sorted(folder.glob("features/*")) if _is_writers_leftover(path)]


def _is_writers_leftover(path: Path) -> bool:
    if path.parent.name != "features":
        return False
    orphan = path.suffix == ".safetensors" and not path.with_suffix(".parquet").exists()
    return orphan or path.name.startswith((".shard-", ".cache.json-", "..cache.json-"))


def _without_times(file: Path) -> list[dict[str, Any]]:
    records = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [{key: value for key, value in one.items() if key not in ("ms", "seconds")} for one in records]


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def differences(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    """What is missing, what is there too much, and what is not the same, a line each."""
    lost = [f"lost: {name}" for name in sorted(expected.keys() - found.keys())]
    extra = [f"left over: {name}" for name in sorted(found.keys() - expected.keys())]
    other = [
        f"not the same: {name}" for name in sorted(found.keys() & expected.keys()) if found[name] != expected[name]
    ]
    return lost + extra + other
