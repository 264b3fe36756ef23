"""The summary of an import: every task accounted for, every annotator's progress, everything that needs a look."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from annotation.judgements import DONE
from annotation.label_studio.interface import STREAM
from pinpoint_data.errors import Outcome

REMEDIES = {
    "bad-annotation": "look at the annotation in Label Studio",
    "bad-box": "draw the box again in Label Studio",
    "bad-item-index": "draw the box again in Label Studio",
    "bad-label": "give the box one of the labels in Label Studio",
    "bad-prelabel": "push the question again",
    "bad-status": "choose one status in Label Studio",
    "changed-by-other": f"it counts as its annotator's; look at it, and for independent work see that {STREAM}",
    "copied-annotation": f"it counts as its annotator's; for independent work see that {STREAM}",
    "draft-over-submission": "the submitted state is imported; pressing Update in Label Studio makes the draft hold",
    "drafts-as-ids": "export by the project page or `pinpoint label-studio pull`, or a snapshot with whole drafts",
    "foreign-task": "import the export of a project that `pinpoint label-studio` made",
    "gone-annotation": "it was deleted on the server; its rows are kept",
    "gone-task": "it was deleted on the server; its rows are kept",
    "no-annotator": "the user may have been deleted; give a name with --names",
    "no-status": "it counts as unfinished; choose a status in Label Studio",
    "not-a-task": "export the project as JSON",
    "repeated-id": "look at the boxes in Label Studio",
    "review-undecided": "submit the review in Label Studio",
    "stale-prelabel": "the boxes are right; which were accepted, moved or deleted is not known: pull before a push",
    "superseded": "the newest of an annotator's annotations of a question holds",
    "unknown-control": "it is kept in the raw JSON and not used; was the labelling interface changed?",
    "unknown-user": "name the user with --names, by e-mail address",
    "wrong-size": "were the page images replaced? push the question again",
}
"""What to do about a problem, by its code, where the problem itself does not say."""


@dataclass
class ImportOutcome(Outcome):
    """What an import did.

    Attributes:
        tasks: `read`, which is the sum of `imported`, `unannotated`, `reviewed` and `refused`.
        refused_tasks: Tasks of which nothing could be used, by the code of the reason.
        annotators: Annotator -> annotations of this import by status.
        decisions: How many review decisions are new in the overlay.
        left_out: Where everything that became no row is kept.
    """

    tasks: Counter[str] = field(default_factory=Counter)
    refused_tasks: Counter[str] = field(default_factory=Counter)
    annotators: dict[str, Counter[str]] = field(default_factory=dict)
    decisions: int = 0
    left_out: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready summary."""
        return super().to_json() | {
            "tasks": {name: self.tasks[name] for name in ("read", "imported", "unannotated", "reviewed", "refused")},
            "refused_tasks": dict(sorted(self.refused_tasks.items())),
            "annotators": {name: dict(sorted(found.items())) for name, found in sorted(self.annotators.items())},
            "decisions": self.decisions,
            "left_out": self.left_out,
        }

    def text(self, shown: int = 20) -> str:
        """A summary for people: tasks, annotators, then what needs a look."""
        tasks = [f"{self.tasks[name]:,} {name}" for name in ("imported", "unannotated", "reviewed") if self.tasks[name]]
        tasks += [f"{number:,} refused ({code})" for code, number in sorted(self.refused_tasks.items())]
        lines = [f"{self.tasks['read']:,} tasks read: {', '.join(tasks) or 'nothing in them'}"]
        for name, found in sorted(self.annotators.items()):
            done = sum(found[status] for status in DONE)
            states = ", ".join(f"{number:,} {status}" for status, number in sorted(found.items()))
            lines.append(f"  {name}: {done:,} done ({states})")
        if self.decisions:
            lines.append(f"{self.decisions:,} new decisions in the overlay")
        lines.append(super().text(shown))
        if self.left_out:
            lines.append(f"what became no row is kept in {self.left_out}")
        return "\n".join(lines)
