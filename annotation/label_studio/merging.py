"""Annotations of an import joined with those the workspace has: newer replaces older, and nothing goes away.

Rows wait in a temporary file, in memory there is one small entry for each question and annotator.
"""

from __future__ import annotations

import json
import marshal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import IO, Any

from annotation.label_studio.names import Names
from pinpoint_data.errors import WorkspaceError
from pinpoint_data.workspace import Workspace

Rows = list[dict[str, Any]]
Key = tuple[str, str]
"""Question and annotator."""

_TABLE = "annotations"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What an annotation is, and which of two holds: a submission before a draft, then the newer, then the later id.

    Attributes:
        task_id: Label Studio's id of the task.
        annotation_id: Label Studio's id of the annotation, or of the draft.
        submitted: False for a draft.
        updated_at: In UTC, so that texts compare as times do; "" where unknown.
    """

    task_id: int
    annotation_id: int
    submitted: bool
    updated_at: str

    @classmethod
    def of(cls, task_id: int, record: Mapping[str, Any], *, submitted: bool) -> Stamp:
        """The stamp of an annotation or draft."""
        return cls(task_id, record["id"], submitted, _utc(record.get("updated_at")))

    @property
    def kind(self) -> str:
        """`annotation` or `draft`."""
        return "annotation" if self.submitted else "draft"

    @property
    def name(self) -> str:
        """As problems call it."""
        return f"{self.kind} {self.annotation_id}"

    def continues(self, old: Stamp) -> bool:
        """Whether this is the same annotation as an older one, or the submission of a draft."""
        if self.submitted and not old.submitted:
            return self.task_id == old.task_id
        return (self.submitted, self.annotation_id) == (old.submitted, old.annotation_id)

    @property
    def rank(self) -> tuple[bool, str, int]:
        """Greater holds."""
        return self.submitted, self.updated_at, self.annotation_id


@dataclass(slots=True)
class _Held:
    stamp: Stamp
    place: tuple[int, int]
    seen: bool


def _utc(time: Any) -> str:
    try:
        found = datetime.fromisoformat(time)
        return found.astimezone(UTC).isoformat(timespec="microseconds") if found.tzinfo else found.isoformat()
    except (TypeError, ValueError, OverflowError):  # the first and the last day there is are another one in UTC
        return ""


@contextmanager
def merging(workspace: Workspace, part: str, names: Names) -> Iterator[Merge]:
    """Take up a part of `annotations` as it is; nothing is written before `Merge.write`.

    Args:
        workspace: Where the part is, or will be.
        part: Of the annotations of one Label Studio project.
        names: What annotators are called now; those known from the part are remembered.

    Raises:
        WorkspaceError: The part is there, but an import did not write it.
    """
    with tempfile.TemporaryFile() as rows:
        merge = Merge(workspace, part, rows)
        merge.load(names)
        yield merge


class Merge:
    """The part of one Label Studio project while it is being renewed; see `merging`."""

    def __init__(self, workspace: Workspace, part: str, rows: IO[bytes]) -> None:
        self._workspace, self._part, self._rows = workspace, part, rows
        self._held: dict[Key, _Held] = {}
        self._end, self._reading = 0, False
        self.displaced: list[tuple[Key, Stamp, Rows]] = []
        """Rows that went because two annotators are known to be one now."""

    def load(self, names: Names) -> None:
        """Take up the rows the workspace has; who got another name since is renamed.

        Raises:
            WorkspaceError: See `merging`.
        """
        if not self._workspace.part_path(_TABLE, self._part).exists():
            return
        groups = []
        found = self._workspace.iter_rows(_TABLE, [self._part])
        for _, group in groupby(found, itemgetter("question_id", "annotator")):
            rows = list(group)
            stamp, user = self._read_stamp(rows[-1])
            names.remember(user, rows[0]["annotator"])
            groups.append((names.now(user), stamp, self._spool(rows)))
        for user, stamp, place in groups:
            rows = self._at(place)
            key = rows[0]["question_id"], names.name(user)
            if key[1] != rows[0]["annotator"]:
                place = self._spool([row | {"annotator": key[1]} for row in rows])
            if displaced := self._hold(key, _Held(stamp, place, seen=False)):
                self.displaced.append((key, *displaced))

    def _read_stamp(self, verdict: dict[str, Any]) -> tuple[Stamp, str]:
        try:
            raw = json.loads(verdict["raw"])
            stamp = Stamp.of(raw["task"]["id"], raw["annotation"], submitted=raw["kind"] != "draft")
            return stamp, str(raw["user"])
        except (ValueError, KeyError, TypeError) as error:
            raise WorkspaceError(
                f"is no part that this import wrote: {error!r}",
                file=self._workspace.part_path(_TABLE, self._part),
                remedy="move it out of the workspace, or import under another --project",
            ) from error

    def newer(self, key: Key, stamp: Stamp) -> Stamp | None:
        """What is there already and holds against `stamp`; it then counts as seen."""
        held = self._held.get(key)
        if held is None or held.stamp.rank <= stamp.rank:
            return None
        held.seen = True
        return held.stamp

    def has(self, key: Key, stamp: Stamp) -> bool:
        """Whether this very state of an annotation is there already; it then counts as seen."""
        held = self._held.get(key)
        if held is None or held.stamp != stamp:
            return False
        held.seen = True
        return True

    def see(self, key: Key) -> None:
        """Note that the import met this, though it cannot use it: it has not gone from the server."""
        if key in self._held:
            self._held[key].seen = True

    def put(self, key: Key, stamp: Stamp, rows: Rows) -> tuple[Stamp, Rows] | None:
        """Take up an annotation that is not older than what is there.

        Args:
            key: Question and annotator.
            stamp: What it is.
            rows: Its rows of `annotations`, the verdict last.

        Returns:
            Another annotation that it takes the place of, if it does.
        """
        return self._hold(key, _Held(stamp, self._spool(rows), seen=True))

    def _hold(self, key: Key, new: _Held) -> tuple[Stamp, Rows] | None:
        old = self._held.get(key)
        if old and old.stamp.rank > new.stamp.rank:
            old, new = new, old
        self._held[key] = new
        if old is None or new.stamp.continues(old.stamp):
            return None
        return old.stamp, self._at(old.place)

    def unseen(self) -> Iterator[tuple[Key, Stamp]]:
        """What the workspace has and this import did not meet."""
        return ((key, held.stamp) for key, held in self._held.items() if not held.seen)

    def write(self) -> None:
        """Write the part anew, in an order that does not depend on that of the import."""
        if not self._held:
            return
        with self._workspace.writer(_TABLE, self._part, {"tool": "label-studio"}) as writer:
            for key in sorted(self._held):
                writer.write_rows(self._at(self._held[key].place))

    def _spool(self, rows: Rows) -> tuple[int, int]:
        """Keep rows in the temporary file; their place there."""
        # A private file without a name, gone with the process: the fastest format will do.
        data = marshal.dumps(rows)
        place = self._end, len(data)
        if self._reading:
            self._rows.seek(self._end)
            self._reading = False
        self._rows.write(data)
        self._end += len(data)
        return place

    def _at(self, place: tuple[int, int]) -> Rows:
        self._rows.seek(place[0])
        self._reading = True
        rows: Rows = marshal.loads(self._rows.read(place[1]))
        return rows
