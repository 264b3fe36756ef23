"""Which way page images reach the annotators' browsers, tried out before any task is made."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from annotation.label_studio.answers import AnswerLostError, RefusedError, ServerError
from annotation.label_studio.api_key import is_local
from annotation.label_studio.page_images import DataUris, LocalFiles, PageImages, UrlTemplate
from annotation.label_studio.server import Server
from annotation.label_studio.upload import Uploads
from pinpoint_data.errors import UsageError
from pinpoint_data.workspace import Workspace

MODES = ("auto", "local-files", "upload", "url-template", "data-uri")
_ROOT = re.compile(r'LOCAL_FILES_DOCUMENT_ROOT="([^"]*)"')
_TITLE = "pinpoint-data pages"
# Pressing Sync would make a task of every file: no name fits this.
_NOTHING = "(?!)"
_SERVING = (
    "start Label Studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
    "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=DIR, or use --images upload"
)


@dataclass(frozen=True)
class ImageOptions:
    """How page images are offered.

    Attributes:
        mode: One of `MODES`.
        url_template: For `url-template`.
        pages_folder: Where page files are written for `local-files` (below the document root) or a template's
            `{name}`; by default in the workspace, else in the document root.
        document_root: The server's document root as this machine sees it, where that differs (a container).
    """

    mode: str = "auto"
    url_template: str | None = None
    pages_folder: Path | None = None
    document_root: Path | None = None

    def check(self) -> None:
        """Refuse what does not fit together, before any server is asked.

        Raises:
            UsageError: See its text.
        """
        if self.mode not in MODES:
            raise UsageError(f"--images {self.mode} is none of {', '.join(MODES)}")
        if (self.mode == "url-template") != (self.url_template is not None):
            raise UsageError("--images url-template and --url-template belong together")
        if self.url_template is not None:
            UrlTemplate(self.url_template, self.pages_folder)


@dataclass(frozen=True)
class ChosenImages:
    """The way that was found.

    Attributes:
        mode: `local-files`, `upload`, `url-template` or `data-uri`.
        images: Gives the addresses.
        why: What to tell people about it.
    """

    mode: str
    images: PageImages
    why: str = ""


def choose_images(server: Server, project_id: int, ws: Workspace, options: ImageOptions) -> ChosenImages:
    """Find the way to serve the pages of a workspace, and set the server up for it.

    Raises:
        UsageError: The options do not fit together.
        ServerError: The way that was asked for does not work; the text says why.
    """
    options.check()
    if options.url_template is not None:
        folder = options.pages_folder
        return ChosenImages("url-template", UrlTemplate(options.url_template, folder and _made(folder)))
    if options.mode == "data-uri":
        return ChosenImages("data-uri", DataUris())
    if options.mode == "upload":
        return ChosenImages("upload", Uploads(server, project_id))
    try:
        images, place = _local_files(server, project_id, ws, options)
        return ChosenImages("local-files", images, f"the server reads page files from {place}")
    except (RefusedError, ServerError, UsageError, OSError) as error:
        if options.mode == "local-files" or isinstance(error, AnswerLostError):
            raise
        why = error.message if isinstance(error, RefusedError | ServerError | UsageError) else str(error)
        return ChosenImages("upload", Uploads(server, project_id), f"uploaded, as local files do not work: {why}")


def _local_files(server: Server, project_id: int, ws: Workspace, options: ImageOptions) -> tuple[LocalFiles, Path]:
    server_root = document_root(server, project_id)
    if server_root is None:
        raise ServerError("does not say its document root", file=server.url, remedy=_SERVING)
    root = (options.document_root or Path(server_root)).resolve()
    folder = _pages_folder(server, ws, root, options.pages_folder)
    images = LocalFiles(folder, root)
    below = images.folder.relative_to(images.document_root).as_posix()
    _register(server, project_id, str(PurePosixPath(server_root) / below))
    _prove(server, images.folder, below)
    return images, images.folder


def document_root(server: Server, project_id: int) -> str | None:
    """The folder below which the server serves files: it names it when it refuses a folder outside."""
    try:
        server.post_json("/api/storages/localfiles/validate", _storage(project_id, "/"))
    except RefusedError as error:
        found = _ROOT.search(error.message)
        return found[1] if found else None
    return None


def _pages_folder(server: Server, ws: Workspace, root: Path, asked: Path | None) -> Path:
    """Where page files go: as asked, in the workspace, or in the document root of a server on this machine."""
    if asked is not None:
        return _made(asked)
    own = ws.path.resolve() / "files" / "label-studio" / "pages"
    if own.is_relative_to(root) and own != root:
        return _made(own)
    if is_local(server.url) and root.is_dir() and os.access(root, os.W_OK):
        return _made(root / "pinpoint-data")
    raise UsageError(
        f"no folder of this machine is below the server's document root {root}",
        remedy="name one with --pages-folder (and --document-root, for a server in a container)",
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _storage(project_id: int, path: str) -> dict[str, Any]:
    return {"project": project_id, "path": path, "use_blob_urls": True, "title": _TITLE, "regex_filter": _NOTHING}


def _register(server: Server, project_id: int, path: str) -> None:
    """Make the folder a storage of the project; without one Label Studio gives out no file of it."""
    storages = server.get_json("/api/storages/localfiles", project=project_id)
    if any(storage.get("path") == path for storage in storages):
        return
    try:
        server.post_json("/api/storages/localfiles/validate", _storage(project_id, path))
        server.post_json("/api/storages/localfiles", _storage(project_id, path))
    except RefusedError as error:
        raise _explained(error, path, server) from error


def _explained(error: RefusedError, path: str, server: Server) -> ServerError:
    said: Mapping[str, tuple[str, str]] = {
        "security risk": ("does not serve local files", _SERVING),
        "must be a subdirectory": (f"serves no files of {path}", "name a folder below its root with --pages-folder"),
        "cannot be the same": (f"does not serve its root {path} itself", "name a folder below it with --pages-folder"),
        "does not exist": (
            f"sees no folder {path}",
            "in a container, mount the folder and name the root as this machine sees it with --document-root",
        ),
    }
    for text, (message, remedy) in said.items():
        if text in error.message:
            return ServerError(message, file=server.url, remedy=remedy)
    return error


def _prove(server: Server, folder: Path, below: str) -> None:
    """Have the server give out a file that was just written: another machine may have a folder of the same name."""
    name = f"pinpoint-check-{secrets.token_hex(8)}.txt"
    content = secrets.token_hex(16).encode("ascii")
    marker = folder / name
    marker.write_bytes(content)
    try:
        found = server.fetch("/data/local-files/?d=" + quote(f"{below}/{name}", safe="/"))
    except RefusedError as error:
        remedy = _SERVING if error.status == 403 else "does the server run on this machine, and may it read the folder?"
        raise ServerError(f"does not give out files of {folder}", file=server.url, remedy=remedy) from error
    finally:
        marker.unlink(missing_ok=True)
    if found != content:
        raise ServerError(
            f"gives out other files than those of {folder}", file=server.url, remedy="use --images upload"
        )
