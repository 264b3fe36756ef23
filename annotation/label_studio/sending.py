"""Tasks to the server so that each arrives once, with its prediction, whatever happens on the way.

Label Studio makes tasks again when they are imported again, may store them and answer 500 or nothing, and may store
them without their predictions and answer 201 (an import during which anybody else writes to its SQLite database). So
after every import its counts are held against what was sent; wherever they differ, or no answer came, the server is
looked at, and only what is missing is sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from annotation.label_studio.answers import AnswerLostError, RefusedError
from annotation.label_studio.inventory import digest, read_inventory, read_predictions, server_counts
from annotation.label_studio.ledger import Ledger
from annotation.label_studio.server import IMPORT_TIMEOUT_S, WAITS_S, Server
from pinpoint_data.errors import Outcome, PinpointError, Problem

_ROUNDS = 4
_BREAKS = "task-breaks-server"
# More than this many tasks that end in a 500 each by itself: it is not the tasks.
_MAX_BREAKING = 3
_TOO_LARGE = 413
_LOOK_EVERY_S = 2.0


class SentTask(Protocol):
    """What is sent: see `annotation.label_studio.tasks.Task`."""

    @property
    def pinpoint_id(self) -> str:
        """Its name, the same in every run."""

    @property
    def predictions(self) -> Sequence[Mapping[str, Any]]:
        """At most one pre-annotation."""

    def payload(self) -> dict[str, Any]:
        """The task as the import wants it."""


@dataclass(frozen=True)
class Wanted:
    """A prediction that a task should have: `task`, `model_version`, `score`, `result`."""

    name: str
    body: dict[str, Any]

    @property
    def key(self) -> tuple[str, bytes]:
        """What makes it the same prediction as one on the server."""
        return prediction_key(self.body)


def prediction_key(prediction: Mapping[str, Any]) -> tuple[str, bytes]:
    """Version and digest of the regions."""
    return str(prediction["model_version"]), digest(prediction["result"])


def settle_s(count: int) -> float:
    """How long tasks without an answer may take to appear; a busy server was seen to need 50 s for 1,000."""
    return 5.0 + 0.05 * count


class _BadListError(PinpointError):
    """The server refuses a list of tasks as it is."""

    def __init__(self, refusal: RefusedError) -> None:
        super().__init__(refusal.message)
        self.code = "task-too-large" if refusal.status == _TOO_LARGE else "task-refused"


class Sender:
    """Sends tasks and predictions to one project.

    Args:
        server: The server.
        project_id: The project.
        ledger: Gets a line before and after everything that is sent.
        outcome: Gets counts (`repaired` predictions, `resent` tasks) and what the server refused.
    """

    def __init__(self, server: Server, project_id: int, ledger: Ledger, outcome: Outcome) -> None:
        self.server, self.project_id, self.ledger, self.outcome = server, project_id, ledger, outcome
        self.newest = 0
        self._counts = (0, 0)

    def settle(self, now: float, say: Callable[[str], None]) -> None:
        """Give what was on its way when the last run was killed the time to arrive: the server may still be at it.

        Args:
            now: Seconds since 1970.
            say: Gets a line when there is something to wait for.
        """
        on_the_way = self.ledger.unsettled
        if on_the_way is None:
            return
        # A clock that was set back must not make the wait any longer.
        left = settle_s(len(on_the_way.ids)) - max(0.0, now - on_the_way.at)
        if left > 0:
            count = f"{len(on_the_way.ids):,} {on_the_way.kind}"
            say(f"the last run ended while {count} were on their way; they get up to {left:.0f} s to arrive")
            if on_the_way.kind == "tasks":
                self.await_tasks(on_the_way.ids, on_the_way.after, left)
            else:
                self.server.sleep(left)
        self.ledger.sent({})

    def start(self, newest: int) -> None:
        """Go by what the project holds now, with `newest` as its highest task id."""
        self.newest = newest
        self._counts = server_counts(self.server, self.project_id)

    def import_tasks(self, tasks: Sequence[SentTask]) -> dict[str, int]:
        """Import tasks that are not on the server; returns the ids of those that are there now.

        One bad task fails a whole list: a refused list is halved until the bad one stands alone.

        Raises:
            ServerError: They do not arrive.
        """
        found: dict[str, int] = {}
        lists = [(list(tasks), _ROUNDS)]
        while lists:
            todo, rounds = lists.pop(0)
            try:
                arrived, failure = self._import_once(todo)
            except _BadListError as error:
                lists[:0] = self._halves(todo, error.code, error.message)
                continue
            found |= arrived
            left = [task for task in todo if task.pinpoint_id not in arrived]
            if left and rounds > 1:
                self.outcome.counts["resent"] += len(left)
                self.server.sleep(WAITS_S[_ROUNDS - rounds])
                lists.insert(0, (left, rounds - 1))
            elif left:
                if not failure.ended or self.outcome.refused[_BREAKS] == _MAX_BREAKING:
                    raise failure
                lists[:0] = self._halves(left, _BREAKS, failure.message)
        return found

    def _halves(self, tasks: list[SentTask], code: str, message: str) -> list[tuple[list[SentTask], int]]:
        """What to try instead of a list that the server does not take; a single task is refused."""
        if len(tasks) == 1:
            self._refuse(code, tasks[0].pinpoint_id, message)
            return []
        half = len(tasks) // 2
        return [(tasks[:half], 2), (tasks[half:], 2)]

    def _import_once(self, tasks: Sequence[SentTask]) -> tuple[dict[str, int], AnswerLostError]:
        """One import: what arrived of it, and what to say when that is not all."""
        names = [task.pinpoint_id for task in tasks]
        failure = AnswerLostError("takes tasks and does not keep them", file=self.server.url)
        complete = False
        self.ledger.sending("tasks", names, self.newest)
        try:
            answer = self._post("import", [task.payload() for task in tasks], return_task_ids="true")
        except AnswerLostError as error:
            failure = error
            arrived = self.await_tasks(names, self.newest, 0 if error.ended else settle_s(len(names)))
        except RefusedError as error:
            self.ledger.sent({})
            if error.status in (400, _TOO_LARGE):
                raise _BadListError(error) from error
            raise
        else:
            arrived, complete = self._believe(answer, tasks)
            if not complete:
                arrived = self._look(names, self.newest)
        self.newest = max([self.newest, *arrived.values()])
        self.ledger.sent(arrived)
        if not complete:
            self._repair(tasks, arrived)
        return arrived, failure

    def _believe(self, answer: Any, tasks: Sequence[SentTask]) -> tuple[dict[str, int], bool]:
        """The new ids, where the answer and the server's own counts agree with what was sent."""
        expected = len(tasks), sum(len(task.predictions) for task in tasks)
        before, self._counts = self._counts, server_counts(self.server, self.project_id)
        grown = self._counts[0] - before[0], self._counts[1] - before[1]
        if not isinstance(answer, dict):
            return {}, False
        ids = answer.get("task_ids") or []
        said = answer.get("task_count"), answer.get("prediction_count")
        if said == grown == expected and len(ids) == len(tasks):
            return {task.pinpoint_id: int(number) for task, number in zip(tasks, ids, strict=True)}, True
        return {}, False

    def await_tasks(self, names: Sequence[str], mark: int, patience_s: float) -> dict[str, int]:
        """Look for tasks newer than `mark` until all are there, or for `patience_s`."""
        waited = 0.0
        while True:
            found = self._look(names, mark)
            if len(found) == len(set(names)) or waited >= patience_s:
                return found
            pause = min(_LOOK_EVERY_S, patience_s - waited)
            self.server.sleep(pause)
            waited += pause

    def _look(self, names: Sequence[str], mark: int) -> dict[str, int]:
        wanted = set(names)
        inventory = read_inventory(self.server, self.project_id, mark)
        return {name: held[0].task_id for name, held in inventory.tasks.items() if name in wanted}

    def _repair(self, tasks: Sequence[SentTask], ids: Mapping[str, int]) -> None:
        """Give tasks the predictions that the import lost."""
        wanted = [
            Wanted(task.pinpoint_id, {"task": ids[task.pinpoint_id], **prediction})
            for task in tasks
            if task.pinpoint_id in ids
            for prediction in task.predictions
        ]
        self.outcome.counts["repaired"] += len(self.add_predictions(wanted))
        self._counts = server_counts(self.server, self.project_id)

    def add_predictions(self, wanted: Sequence[Wanted]) -> set[str]:
        """Add the predictions that are not on the server; returns the names of the tasks that got theirs.

        The server leaves out, without a word, what it dislikes; those are refused by name.
        """
        added: set[str] = set()
        for _ in range(_ROUNDS):
            missing = self._missing(wanted) if wanted else []
            if not missing:
                break
            self.ledger.sending("predictions", [one.name for one in missing], self.newest)
            try:
                answer = self._post("import/predictions", [one.body for one in missing])
            except AnswerLostError as error:
                self._await_predictions(missing, 0 if error.ended else settle_s(len(missing)))
                answer = None
            self.ledger.sent({})
            left = self._missing(missing)
            added |= {one.name for one in missing} - {one.name for one in left}
            if left and answer is not None:
                for one in left:
                    self._refuse(
                        "prediction-refused", one.name, "the server leaves its pre-annotation out, without a reason"
                    )
                break
        return added

    def _await_predictions(self, wanted: Sequence[Wanted], patience_s: float) -> None:
        waited = 0.0
        while waited < patience_s and self._missing(wanted):
            self.server.sleep(_LOOK_EVERY_S)
            waited += _LOOK_EVERY_S

    def _missing(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        held = read_predictions(self.server, self.project_id)
        there = {(task, one.version, one.result) for task, ones in held.items() for one in ones}
        return [one for one in wanted if (one.body["task"], *one.key) not in there]

    def _post(self, what: str, body: list[dict[str, Any]], **params: str) -> Any:
        path = f"/api/projects/{self.project_id}/{what}"
        return self.server.post_json(path, body, params=params, timeout_s=IMPORT_TIMEOUT_S)

    def _refuse(self, code: str, name: str, message: str) -> None:
        remedy = "run `pinpoint label-studio preflight`"
        self.outcome.refuse(Problem(code, self.server.url, name, message, remedy))
