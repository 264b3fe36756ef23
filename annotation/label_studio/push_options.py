"""What is pushed and how, and what a push came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from annotation.label_studio.images_choice import ImageOptions
from annotation.label_studio.tasks import TaskOptions
from pinpoint_data.errors import Outcome


@dataclass(frozen=True)
class PushOptions:
    """What is pushed, and how.

    Attributes:
        tasks: Which questions, with which boxes drawn already.
        images: How their pages are shown.
        overlap: Annotators a task; None leaves the project's (1 for a new one).
        limit: Only the first so many questions.
        chunk_tasks: Tasks in one request.
        chunk_bytes: Size of one request, unless a single task is larger.
        images_checked: How many page images are fetched before anything is sent.
    """

    tasks: TaskOptions = field(default_factory=TaskOptions)
    images: ImageOptions = field(default_factory=ImageOptions)
    overlap: int | None = None
    limit: int | None = None
    chunk_tasks: int = 500
    chunk_bytes: int = 20_000_000
    images_checked: int = 20


@dataclass
class PushResult:
    """What a push came to.

    Attributes:
        url: Of the project, for a browser.
        project: Its id.
        title: Its title.
        images: The way page images are shown.
        outcome: Counts (`made`, `updated`, `unchanged`, ...) and what was refused.
        notes: What people should know besides.
        model_version: Whose boxes the label stream shows, or an empty text.
    """

    url: str
    project: int
    title: str
    images: str
    outcome: Outcome = field(default_factory=Outcome)
    notes: list[str] = field(default_factory=list)
    model_version: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready summary."""
        head = {name: getattr(self, name) for name in ("url", "project", "title", "images", "model_version", "notes")}
        return head | self.outcome.to_json()

    def text(self) -> str:
        """A summary for people."""
        lines = [f"project {self.project} ({self.title}), pages by {self.images}: {self.outcome.text()}", *self.notes]
        return "\n".join([*lines, f"open {self.url}"])
