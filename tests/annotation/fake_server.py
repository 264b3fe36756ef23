"""A small HTTP server that behaves like Label Studio where it hurts, on demand.

It keeps projects, tasks, predictions and files in memory and answers the calls that a push makes, with Label Studio's
own traits: the same tasks again are new tasks, file parts of one field name are one file, predictions with an unknown
label are dropped without a word by `/import/predictions`. Faults are set by the test, each for one request:

    with fake_label_studio() as fake:
        fake.fault("POST", "/import", "500-after")      # stored, and answered with a 500
"""

from __future__ import annotations

import email
import email.policy
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

KEY = "0123456789abcdef0123456789abcdef01234567"
REFRESH = "eyJhbGciOiJIUzI1NiJ9.eyJmYWtlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl"
HUGE = 3_000_000


@dataclass
class Fault:
    """What goes wrong with one request.

    Kinds: `before` (nothing stored) or `after` (stored) behind `500`, `502` and `reset`; `twice` (stored twice);
    `late` (the connection is reset, the tasks are stored at the next `tick`); `drop-predictions`, `drop-and-lie`
    (stored without predictions, the answer says so, or not); `500-half` (half of the tasks stored); `html`, `401`,
    `huge` (a 400 of 3 MB), `echo` and `echo-400` (a 500 or 400 that repeats the request's headers), `429`, `silent`
    (stored, no answer for a second).
    """

    method: str
    path: str
    kind: str


@dataclass
class FakeLabelStudio:
    """The state of the server, for a test to set and look at."""

    url: str = ""
    projects: dict[int, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    predictions: dict[int, dict[str, Any]] = field(default_factory=dict)
    files: dict[int, dict[str, Any]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    storages: list[dict[str, Any]] = field(default_factory=list)
    document_root: str | None = None
    access: str = "access-1"
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    pending: list[Callable[[], None]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    refused_tasks: list[str] = field(default_factory=list)
    dropped_labels: set[str] = field(default_factory=set)
    local_files: bytes | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)
    next_id: int = 0

    def new_id(self) -> int:
        self.next_id += 1
        return self.next_id

    def fault(self, method: str, path: str, kind: str, times: int = 1) -> None:
        """The next requests of this kind whose path ends so go wrong."""
        self.faults += [Fault(method, path, kind)] * times

    def sleep(self, seconds: float) -> None:
        """For `Server(sleep=...)`: no time passes, but what was late arrives."""
        self.slept.append(seconds)
        self.tick()

    def tick(self) -> None:
        with self.lock:
            for action in self.pending:
                action()
            self.pending.clear()

    def taken(self, method: str, path: str) -> int:
        """How many such requests came."""
        return sum(m == method and p.endswith(path) for m, p in self.requests)

    def names(self) -> list[str]:
        """`pinpoint_id` of every task, sorted."""
        return sorted(task["data"]["pinpoint_id"] for task in self.tasks.values())

    def add_tasks(self, project: int, tasks: list[dict[str, Any]], *, predictions: bool = True) -> dict[str, Any]:
        ids, made = [], 0
        for task in tasks:
            number = self.new_id()
            self.tasks[number] = {"id": number, "project": project, "data": task["data"]} | dict.fromkeys(
                ("total_annotations", "cancelled_annotations"), 0
            )
            ids.append(number)
            for prediction in task.get("predictions", []) if predictions else []:
                self.add_prediction({"task": number, **prediction}, project)
                made += 1
        return {"task_count": len(tasks), "annotation_count": 0, "prediction_count": made, "task_ids": ids}

    def add_prediction(self, body: dict[str, Any], project: int) -> None:
        number = self.new_id()
        self.predictions[number] = {"id": number, "project": project, **body}


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _run(self) -> None:
        fake, path = self.server.fake, urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with fake.lock:
            fake.requests.append((self.command, path))
            fault = next((f for f in fake.faults if f.method == self.command and path.endswith(f.path)), None)
            if fault is not None:
                fake.faults.remove(fault)
            kind = fault.kind if fault else ""
            try:
                self._faulty(kind, path, body)
            except _Answer as answer:
                self._send(answer.status, answer.body, answer.kind, answer.headers)

    do_GET = do_POST = do_PATCH = do_DELETE = _run

    def _faulty(self, kind: str, path: str, body: bytes) -> None:
        if kind == "401":
            raise _Answer(401, {"detail": "Invalid token."})
        if kind == "html":
            raise _Answer(404, b"<html><head><title>Not here</title></head></html>", "text/html")
        if kind == "huge":
            raise _Answer(400, {"detail": "bad task", "validation_errors": {"tasks": "x" * HUGE}})
        if kind.startswith("echo"):
            raise _Answer(400 if kind == "echo-400" else 500, {"detail": f"headers were {dict(self.headers)} {body!r}"})
        if kind == "429":
            raise _Answer(429, {"detail": "slow down"}, headers={"Retry-After": "7"})
        if kind == "reset-before":
            self._reset()
            return
        if kind == "late":
            self.server.fake.pending.append(lambda: self._good(path, body, ""))
            self._reset()
            return
        if kind in ("500-before", "502-before"):
            raise _Answer(int(kind[:3]), {"detail": "no luck"})
        found = self._good(path, body, kind)
        if kind == "twice":
            self._good(path, body, kind)
        if kind in ("500-after", "500-half", "502-after"):
            raise _Answer(int(kind[:3]), {"detail": "database is locked"})
        if kind == "reset-after":
            self._reset()
        elif kind == "silent":
            self.server.fake.lock.release()
            time.sleep(1.0)
            self.server.fake.lock.acquire()
            self._reset()
        else:
            raise found

    def _good(self, path: str, body: bytes, kind: str) -> _Answer:
        try:
            found = _route(self.server.fake, self, path, body, kind)
        except _Answer as answer:
            return answer
        return _Answer(201 if self.command == "POST" else 200, found)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _send(self, status: int, body: Any, kind: str, headers: dict[str, str]) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


class _Answer(Exception):
    def __init__(
        self, status: int, body: Any, kind: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status, self.body, self.kind, self.headers = status, body, kind, headers or {}


def _route(fake: FakeLabelStudio, request: _Handler, path: str, body: bytes, kind: str) -> Any:
    method, query = request.command, {k: v[0] for k, v in parse_qs(urlsplit(request.path).query).items()}
    if path == "/api/token/refresh/":
        if json.loads(body) != {"refresh": REFRESH}:
            raise _Answer(401, {"detail": "Token is invalid", "code": "token_not_valid"})
        return {"access": fake.access}
    if request.headers.get("Authorization") not in (f"Token {KEY}", f"Bearer {fake.access}"):
        raise _Answer(401, {"detail": "Invalid token."})
    if method == "GET" and path in fake.contents:
        raise _Answer(200, fake.contents[path], "image/png")
    for pattern, verbs, answer in _ROUTES:
        if method in verbs and (found := re.fullmatch(pattern, path)):
            is_json = "json" in request.headers.get("Content-Type", "")
            sent = json.loads(body) if body and is_json else (request.headers, body)
            return answer(fake, [int(number) for number in found.groups()], query, sent, kind)
    raise _Answer(404, b"<html><title>404 | Label Studio</title></html>", "text/html")


def _whoami(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    return {"id": 1, "email": "a@example.com"}


def _users(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    return [{"id": 1, "email": "a@example.com"}]


def _projects(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    if isinstance(sent, dict):
        number = fake.new_id()
        fake.projects[number] = {
            "id": number,
            "created_at": f"2026-01-01T00:00:00.{number:06d}Z",
            "model_version": "",
            "total_annotations_number": 0,
            "skipped_annotations_number": 0,
            **sent,
        }
        return fake.projects[number]
    return {"count": len(fake.projects), "next": None, "results": list(fake.projects.values())}


def _project(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    if ids[0] not in fake.projects:
        raise _Answer(404, {"detail": "No Project matches the given query."})
    if isinstance(sent, dict):
        fake.projects[ids[0]].update(sent)
    return fake.projects[ids[0]] | {"task_number": sum(t["project"] == ids[0] for t in fake.tasks.values())}


def _versions(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    found: dict[str, int] = {}
    for prediction in fake.predictions.values():
        if prediction["project"] == ids[0]:
            found[prediction["model_version"]] = found.get(prediction["model_version"], 0) + 1
    return found


def _list_tasks(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    after = json.loads(unquote(query["query"]))["filters"]["items"][0]["value"]
    project = int(query["project"])
    found = [task for number, task in sorted(fake.tasks.items()) if task["project"] == project and number > after]
    return {"total": len(found), "tasks": found[: int(query["page_size"])]}


def _task(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    if ids[0] not in fake.tasks:
        raise _Answer(404, {"detail": "No Task matches the given query."})
    fake.tasks[ids[0]].update(sent)
    return fake.tasks[ids[0]]


def _import(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    if query.get("commit_to_project") == "false":
        return _take_files(fake, ids[0], *sent)
    for task in sent:
        if task["data"]["pinpoint_id"] in fake.broken:
            raise _Answer(500, {"detail": "internal error"})
        if task["data"]["pinpoint_id"] in fake.refused_tasks:
            raise _Answer(400, {"detail": f'"question" key is expected in task data: {task}'})
    stored = sent[: len(sent) // 2] if kind == "500-half" else sent
    lost = kind in ("drop-predictions", "drop-and-lie", "500-half")
    answer = fake.add_tasks(ids[0], stored, predictions=not lost)
    if kind == "drop-and-lie":
        answer["prediction_count"] = sum(len(task.get("predictions", [])) for task in sent)
    return answer


def _take_files(fake: FakeLabelStudio, project: int, headers: Any, body: bytes) -> Any:
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    parts = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
    made = []
    for part in parts.values():
        number, data = fake.new_id(), part.get_payload(decode=True)
        place = f"upload/{project}/{number:08x}-{part.get_filename()}"
        fake.files[number] = {"id": number, "file": place, "size": len(data), "project": project}
        fake.contents[f"/data/{place}"] = data
        made.append(number)
    return {"task_count": len(made), "annotation_count": None, "prediction_count": None, "file_upload_ids": made}


def _files(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    wanted = json.loads(query["ids"]) if "ids" in query else list(fake.files)
    return [fake.files[number] for number in wanted if fake.files[number]["project"] == ids[0]]


def _import_predictions(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    good = [
        one
        for one in sent
        if not any(fake.dropped_labels.intersection(region["value"]["rectanglelabels"]) for region in one["result"])
    ]
    for one in good:
        fake.add_prediction(one, ids[0])
    return {"created": len(good)}


def _predictions(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    return [one for one in fake.predictions.values() if one["project"] == int(query["project"])]


def _delete_prediction(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    if fake.predictions.pop(ids[0], None) is None:
        raise _Answer(404, {"detail": "No Prediction matches the given query."})
    raise _Answer(204, b"")


def _validate_storage(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    root, path = fake.document_root or "/nowhere", sent["path"]
    why = ""
    if not path.startswith(f"{root}/"):
        why = f'Absolute local path "{path}" must be a subdirectory of LOCAL_FILES_DOCUMENT_ROOT="{root}" by security.'
    elif fake.document_root is None:
        why = "Serving local files from the host filesystem can be a security risk"
    if why:
        raise _Answer(400, {"detail": "Validation error", "validation_errors": {"non_field_errors": [why]}})
    raise _Answer(200, b"")


def _storages(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    if isinstance(sent, dict):
        fake.storages.append(sent)
        return {"id": len(fake.storages), **sent}
    return fake.storages


def _local_file(fake: FakeLabelStudio, ids: list[int], query: dict[str, str], sent: Any, kind: str) -> Any:
    path = Path(fake.document_root or "/nowhere") / query["d"]
    if not path.is_file() or not any(path.is_relative_to(storage["path"]) for storage in fake.storages):
        raise _Answer(404, b"<html></html>", "text/html")
    raise _Answer(200, fake.local_files or path.read_bytes(), "image/png")


_Route = Callable[[FakeLabelStudio, list[int], dict[str, str], Any, str], Any]
_ROUTES: list[tuple[str, str, _Route]] = [
    (r"/api/current-user/whoami", "GET", _whoami),
    (r"/api/users/", "GET", _users),
    (r"/api/projects/", "GET POST", _projects),
    (r"/api/projects/(\d+)/", "GET PATCH", _project),
    (r"/api/projects/(\d+)/model-versions", "GET", _versions),
    (r"/api/projects/(\d+)/import", "POST", _import),
    (r"/api/projects/(\d+)/import/predictions", "POST", _import_predictions),
    (r"/api/projects/(\d+)/file-uploads", "GET", _files),
    (r"/api/tasks/", "GET", _list_tasks),
    (r"/api/tasks/(\d+)/", "PATCH", _task),
    (r"/api/predictions/", "GET", _predictions),
    (r"/api/predictions/(\d+)/", "DELETE", _delete_prediction),
    (r"/api/storages/localfiles/validate", "POST", _validate_storage),
    (r"/api/storages/localfiles", "GET POST", _storages),
    (r"/data/local-files/", "GET", _local_file),
]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeLabelStudio

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the tests."""


@contextmanager
def fake_label_studio() -> Iterator[FakeLabelStudio]:
    """A running fake on a free port."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.fake = FakeLabelStudio(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
