"""How far a project is, from the rows that were imported."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from annotation.judgements import DONE
from pinpoint_data.workspace import Workspace


@dataclass(frozen=True)
class Campaign:
    """Progress of a project.

    Attributes:
        tasks: On the server.
        overlap: Annotators that a task should have.
        done: Questions by the number of annotators who finished them.
        annotators: Annotator -> their questions by status.
    """

    tasks: int
    overlap: int
    done: Counter[int]
    annotators: dict[str, Counter[str]]

    @property
    def finished(self) -> int:
        """Questions that enough annotators have finished."""
        return sum(count for number, count in self.done.items() if number >= max(1, self.overlap))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready summary."""
        return {
            "tasks": self.tasks,
            "overlap": self.overlap,
            "finished": self.finished,
            "done_by": {str(number): count for number, count in sorted(self.done.items())},
            "annotators": {name: dict(sorted(found.items())) for name, found in sorted(self.annotators.items())},
        }

    def text(self) -> str:
        """A summary for people."""
        some = sum(count for number, count in self.done.items() if number)
        share = f" ({self.finished / self.tasks:.0%})" if self.tasks else ""
        who = "annotator" if self.overlap == 1 else "annotators"
        lines = [
            f"campaign: {self.finished:,} of {self.tasks:,} tasks{share} finished by {max(1, self.overlap)} {who}, "
            f"{some:,} by at least one"
        ]
        for name, found in sorted(self.annotators.items()):
            done = sum(found[status] for status in DONE)
            lines.append(f"  {name}: {done:,} done, {found['skipped']:,} skipped, {found['unfinished']:,} unfinished")
        return "\n".join(lines)


def campaign_of(workspace: Workspace, part: str, tasks: int, overlap: int) -> Campaign:
    """The progress that the rows of a part show."""
    annotators: dict[str, Counter[str]] = {}
    done: Counter[str] = Counter()
    columns = ["question_id", "annotator", "region_id", "status"]
    there = [part] if workspace.part_path("annotations", part).exists() else []
    for row in workspace.iter_rows("annotations", there, columns):
        if row["region_id"] is None:
            annotators.setdefault(row["annotator"], Counter())[row["status"]] += 1
            done[row["question_id"]] += row["status"] in DONE
    return Campaign(tasks, overlap, Counter(done.values()), annotators)
