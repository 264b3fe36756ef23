"""Page images uploaded to the server, each once.

A file's name is the hash of what it shows, and Label Studio keeps it behind a prefix of its own
(`/data/upload/13/4bd79019-<name>`): the server itself tells which pages it has, also after everything here was lost.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from annotation.label_studio.answers import AnswerLostError, RefusedError, ServerError
from annotation.label_studio.page_files import MEDIA_TYPES, PagePart
from annotation.label_studio.server import IMPORT_TIMEOUT_S, Server
from pinpoint_data.errors import PageError

_BATCH_FILES = 20
_BATCH_BYTES = 20_000_000
_ROUNDS = 3
_PENDING = "/data/upload/pending/"
_STORED = re.compile(r"/?(?:data/)?(upload/\d+/[0-9A-Za-z]+-([0-9a-f]{40}\.[a-z]+))")


class Uploads:
    """A `PageImages` whose addresses are known once the files are uploaded.

    `url` gives the address of a page that the server has, else a placeholder; `upload` sends the files behind
    placeholders, and `resolved` puts the addresses in their place. So nothing is uploaded for tasks that are not sent,
    and nothing writes to the server while tasks are imported.
    """

    def __init__(self, server: Server, project_id: int) -> None:
        self.server, self.project_id = server, project_id
        self.sent = 0
        self._urls: dict[str, str] = {}
        self._parts: dict[str, PagePart] = {}
        self._lock = threading.Lock()
        self._learn(self.server.get_json(f"/api/projects/{project_id}/file-uploads", all="true"))

    def adopt(self, pages: Iterable[str]) -> None:
        """Take over addresses that tasks on the server have already: the server lists a user's own files only."""
        found = {match[2]: f"/data/{match[1]}" for url in pages if (match := _STORED.fullmatch(url))}
        others = {name: url for name, url in found.items() if name not in self._urls}
        # Where the first is gone, somebody removed them: all are uploaded anew.
        if others and self._serves(next(iter(others.values()))):
            self._urls |= others

    def _serves(self, url: str) -> bool:
        try:
            return bool(self.server.fetch(url))
        except RefusedError:
            return False

    def url(self, part: PagePart) -> str:
        """The part's address, or a placeholder."""
        name = part.name()
        with self._lock:
            if name in self._urls:
                return self._urls[name]
            self._parts.setdefault(name, part)
        return _PENDING + name

    def preview(self, path: str) -> bytes:
        """What a path of the server gives or, for a placeholder, will give."""
        if not _is_pending(path):
            return self.server.fetch(path)
        part = self._parts[path.removeprefix(_PENDING)]
        try:
            return part.data()
        finally:
            part.page.release()

    def upload(self, datas: Sequence[Mapping[str, Any]]) -> dict[str, PageError]:
        """Upload the pages that these tasks' data still lack.

        Returns:
            What is wrong with pages that cannot be read, by placeholder.

        Raises:
            ServerError: Files do not arrive.
        """
        pending = {url.removeprefix(_PENDING): None for data in datas for url in data["pages"] if _is_pending(url)}
        bad: dict[str, PageError] = {}
        for batch in self._batches([name for name in pending if name not in self._urls], bad):
            self._send(batch)
        return bad

    def resolved(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """A task's data with addresses for placeholders."""
        pages = [self._urls[url.removeprefix(_PENDING)] if _is_pending(url) else url for url in data["pages"]]
        return {**data, "pages": pages}

    def _batches(self, names: Sequence[str], bad: dict[str, PageError]) -> Iterator[dict[str, bytes]]:
        batch: dict[str, bytes] = {}
        size = 0
        following = [self._parts[name].page for name in names[1:]] + [None]
        for name, next_page in zip(names, following[: len(names)], strict=True):
            part = self._parts[name]
            try:
                data = part.data()
            except PageError as error:
                bad[_PENDING + name] = error
                continue
            finally:
                # The parts of a tall page follow one another: it is decoded once for them.
                if next_page is not part.page:
                    part.page.release()
            if batch and (len(batch) == _BATCH_FILES or size + len(data) > _BATCH_BYTES):
                yield batch
                batch, size = {}, 0
            batch[name] = data
            size += len(data)
        if batch:
            yield batch

    def _send(self, batch: Mapping[str, bytes]) -> None:
        failure = ServerError("takes files and does not keep them", file=self.server.url)
        for _ in range(_ROUNDS):
            todo = [name for name in batch if name not in self._urls]
            if not todo:
                break
            # Of parts with the same field name the server keeps the last alone.
            files = {
                f"f{i}": (name, batch[name], MEDIA_TYPES[PurePosixPath(name).suffix]) for i, name in enumerate(todo)
            }
            place = f"/api/projects/{self.project_id}"
            try:
                answer = self.server.request(
                    "POST",
                    f"{place}/import",
                    params={"commit_to_project": "false"},
                    files=files,
                    repeat=False,
                    timeout_s=IMPORT_TIMEOUT_S,
                )
                query = {"ids": json.dumps(answer["file_upload_ids"])}
            except AnswerLostError as error:
                failure, query = error, {"all": "true"}
            self._learn(self.server.get_json(f"{place}/file-uploads", **query), batch)
        if any(name not in self._urls for name in batch):
            raise failure
        self.sent += len(batch)

    def _learn(self, entries: Sequence[Mapping[str, Any]], batch: Mapping[str, bytes] | None = None) -> None:
        """Remember what the server has; of a file of this batch only when it arrived whole."""
        for entry in entries:
            found = _STORED.fullmatch(str(entry.get("file")))
            if found and (not batch or found[2] not in batch or entry.get("size") in (None, len(batch[found[2]]))):
                self._urls[found[2]] = f"/data/{found[1]}"


def _is_pending(url: Any) -> bool:
    return isinstance(url, str) and url.startswith(_PENDING)
