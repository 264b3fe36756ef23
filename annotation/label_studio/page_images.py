"""How page images reach the browser: local files of the server, an address template, or inside the task.

A fourth way, upload to the server, is the push's own and stands on the same `PagePart`.
"""

from __future__ import annotations

import base64
import string
import threading
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from annotation.label_studio.page_files import MEDIA_TYPES, PagePart, SourcePage
from pinpoint_data.atomic import write_bytes
from pinpoint_data.errors import PageError, UsageError

__all__ = ["MODES", "DataUris", "LocalFiles", "PageImages", "PagePart", "SourcePage", "UrlTemplate", "written"]

MODES = ("local-files", "url-template", "data-uri")
DATA_URI_BYTES = 2_000_000
SCHEMES = ("http", "https", "s3", "gs", "azure-blob", "azure_spi")
"""Of addresses that a browser opens, or that Label Studio opens for it."""

_QUALITIES = (90, 80, 70, 60)
_FIELDS = ("source", "page_id", "path", "part", "name")


class PageImages(Protocol):
    """Gives an item's picture an address. Called from several threads at once, never twice at once for one page."""

    def url(self, part: PagePart) -> str:
        """The address for `task["data"]["pages"]`.

        Raises:
            PageError: The page cannot be shown; its questions are left out.
        """


class LocalFiles:
    """Page files below a folder that the server serves itself (`/data/local-files/?d=...`).

    Files are copied: a page that changes under the annotators would move their boxes. What is there already is kept,
    as its name is the hash of its content, so a second run only adds.

    Args:
        folder: Where page files go.
        document_root: The server's LOCAL_FILES_DOCUMENT_ROOT; the folder must lie below it.

    Raises:
        UsageError: It does not lie below it.
    """

    def __init__(self, folder: Path, document_root: Path) -> None:
        self.folder, self.document_root = folder.resolve(), document_root.resolve()
        if self.folder == self.document_root or not self.folder.is_relative_to(self.document_root):
            raise UsageError(
                f"the folder of page files must lie below the document root {self.document_root}, not be it",
                file=self.folder,
                remedy="name a folder inside it; Label Studio serves no other",
            )
        self._lock = threading.Lock()

    @property
    def setup(self) -> str:
        """What somebody who imports task files by hand has to set on the server."""
        return (
            f"Start the server with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
            f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={self.document_root} ; then Settings, Cloud Storage, Add Source "
            f"Storage, Local files, absolute path {self.folder} , and never press Sync: it makes a task of every file."
        )

    def url(self, part: PagePart) -> str:
        """The address of the part's file, which is written where there is none yet."""
        path = written(part, self.folder, self._lock)
        return "/data/local-files/?d=" + quote(path.relative_to(self.document_root).as_posix(), safe="/")


def written(part: PagePart, folder: Path, lock: threading.Lock) -> Path:
    """The part's file below `folder`, made where there is none; two pages of the same content share one.

    Raises:
        PageError: The page is missing, broken or changed.
    """
    name = part.name()
    path = folder / name[:2] / name
    if not path.exists():
        data = part.data()
        with lock:
            if not path.exists():
                write_bytes(path, data)
    return path


class UrlTemplate:
    """Addresses of pages that somebody else serves, from a template like `https://host/{path}`.

    `{path}` is the file's path in its source (its slashes stay), `{source}` and `{page_id}` name the page, `{part}` is
    the rectangle as IIIF writes it (`x,y,width,height`), and `{name}` a file made in `folder`, to be copied to the
    host. All are percent-encoded.

    Args:
        template: The address.
        folder: Where files for `{name}` are made.

    Raises:
        UsageError: The template has an unknown field or none, or `{name}` without a folder or the other way round.
    """

    def __init__(self, template: str, folder: Path | None = None) -> None:
        self.template, self.folder = template, folder
        self._lock = threading.Lock()
        self.fields = _fields(template)
        if ("name" in self.fields) != (folder is not None):
            raise UsageError(
                f"address template {template!r}: {{name}} and a folder for page files belong together",
                remedy="give both, or {path} of files that are served as they are",
            )

    def url(self, part: PagePart) -> str:
        """The address of the part.

        Raises:
            PageError: The template cannot tell a part from its page, or a browser cannot show the file.
        """
        name = ""
        if self.folder is not None:
            name = written(part, self.folder, self._lock).name
        elif "part" not in self.fields and not part.is_original:
            raise PageError(
                "not-servable",
                "must be drawn for the browser (a part of a tall page, a PDF page, or a format that it does not show)",
                file=part.page.path,
                remedy="use {name} with --pages-folder, {part} of an image server, or --images local-files",
            )
        row = part.page.row
        values = {
            "path": quote(row["path"], safe="/"),
            "source": quote(row["source"], safe=""),
            "page_id": quote(row["page_id"], safe=""),
            "part": ",".join(map(str, part.rect)),
            "name": quote(f"{name[:2]}/{name}", safe="/"),
        }
        return self.template.format(**values)


def _fields(template: str) -> set[str]:
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UsageError(f"address template {template!r}: {error}") from error
    for _, name, spec, conversion in pieces:
        if name is not None and (name not in _FIELDS or spec or conversion):
            raise UsageError(
                f"address template {template!r} has the field {{{name}}}",
                remedy=f"fields: {', '.join(f'{{{known}}}' for known in _FIELDS)}",
            )
    fields = {name for _, name, _, _ in pieces if name}
    if not fields & {"path", "page_id", "name"}:
        raise UsageError(f"address template {template!r} gives every page the same address", remedy="add {path}")
    scheme, mark, _ = template.split("{")[0].partition("://")
    if not mark or scheme not in SCHEMES:
        raise UsageError(
            f"address template {template!r} must begin with a scheme and host",
            remedy=f"https://HOST/...; schemes that Label Studio serves: {', '.join(SCHEMES)}",
        )
    return fields


class DataUris:
    """Pictures inside the tasks. They come back in every export: for a few small pages only.

    Args:
        max_bytes: A picture above this many bytes is encoded as JPEG, ever smaller, in full resolution.
    """

    def __init__(self, max_bytes: int = DATA_URI_BYTES) -> None:
        self.max_bytes = max_bytes

    def url(self, part: PagePart) -> str:
        """The picture as a data URI.

        Raises:
            PageError: `image-too-large` where no JPEG quality makes it small enough.
        """
        data, kind = part.data(), MEDIA_TYPES[Path(part.name()).suffix]
        for quality in _QUALITIES:
            if len(data) <= self.max_bytes:
                break
            data, kind = part.drawn("JPEG", quality), MEDIA_TYPES[".jpg"]
        if len(data) > self.max_bytes:
            raise PageError(
                "image-too-large",
                f"is {len(data):,} bytes as JPEG; data URIs are limited to {self.max_bytes:,}",
                file=part.page.path,
                remedy="use --images local-files or upload",
            )
        return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
