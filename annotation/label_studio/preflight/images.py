"""Addresses of page images: all of them read, a sample of the images looked at."""

from __future__ import annotations

import base64
import binascii
import hashlib
import heapq
import io
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
from PIL import Image

from annotation.label_studio.geometry import Item
from annotation.label_studio.page_images import SCHEMES
from annotation.label_studio.preflight.codes import Code, Finding
from annotation.label_studio.preflight.regions import Fault, shown
from pinpoint_data.errors import PageError, PinpointError
from pinpoint_data.pages import IMAGE_FORMATS, safe_path

LOCAL_FILES = "/data/local-files/"
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_TIMEOUT_S = 5.0
_MAX_BYTES = 64 * 1024 * 1024
_SERVING = "start the server with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true"
_WEB = "correct the address, or see that the host gives the image without a login"
_STORAGE = (
    "add the folder of the page files as a storage (Settings, Cloud Storage, Local files; do not press Sync), "
    "and see that LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT is the folder that addresses are relative to"
)


def address_fault(url: object) -> Fault | None:
    """What is wrong with an address as it stands; the image is not looked at."""
    if not isinstance(url, str) or not url.strip():
        return Code.IMAGE_ADDRESS, f"an address is {shown(url)}"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return Code.IMAGE_ADDRESS, f"{shown(url)}: {error}"
    if url.startswith(LOCAL_FILES):
        path = _local_path(url)
        if path is None:
            return Code.IMAGE_ADDRESS, f"{shown(url)} names no file (?d=...)"
        try:
            safe_path(Path("/"), path)
        except PageError:
            return Code.IMAGE_OUTSIDE, f"{shown(url)} leads out of the document root"
        return (Code.IMAGE_OUTSIDE, f"{shown(url)} is the document root") if path in (".", "./") else None
    if parts.scheme in SCHEMES:
        return None if parts.netloc else (Code.IMAGE_ADDRESS, f"{shown(url)} names no host")
    if url.startswith("data:image/") or (url.startswith("/data/") and not url.startswith("//")):
        return None
    return Code.IMAGE_ADDRESS, f"{shown(url)} is no address that a browser can open"


def _local_path(url: str) -> str | None:
    found = parse_qs(urlsplit(url).query, keep_blank_values=True, errors="surrogateescape").get("d", [""])
    return found[0] if len(found) == 1 and found[0] else None


@dataclass
class ImageSample:
    """Addresses of some images, the same of the same tasks, to be looked at after all tasks were read.

    Attributes:
        size: How many; 0 looks at none.
        document_root: Where the server's local files are on this machine.
        fetch: Asks the server itself for a path; then its local files are not looked up here.
    """

    size: int = 20
    document_root: Path | None = None
    fetch: Callable[[str], bytes] | None = None
    _heap: list[tuple[int, str, str, str, Item | None]] = field(default_factory=list)
    _keys: set[int] = field(default_factory=set)

    def add(self, task: str, file: str, url: str, item: Item | None) -> None:
        """Take an address into the sample, or not: those with the smallest hashes are in it."""
        key = -int.from_bytes(hashlib.sha256(url.encode("utf-8", "surrogatepass")).digest()[:8])
        if key in self._keys or not self.size:
            return
        self._keys.add(key)
        entry = (key, task, file, url, item)
        gone = heapq.heappushpop(self._heap, entry) if len(self._heap) >= self.size else None
        if gone is None:
            heapq.heappush(self._heap, entry)
        else:
            self._keys.discard(gone[0])

    def findings(self) -> Iterator[Finding]:
        """Look at the images."""
        unchecked = []
        web = any(_on_the_web(url) for *_, url, _ in self._heap)
        with _client() if web else nullcontext() as client:
            for _, task, file, url, item in sorted(self._heap, key=lambda entry: (entry[2], entry[1], entry[3])):
                try:
                    data = self._bytes(url, client)
                except _FaultError as error:
                    remedy = error.remedy or (_WEB if _on_the_web(url) else "")
                    yield Finding(error.code, task, f"{shown(url)}: {error}", file, remedy)
                    continue
                if data is None:
                    unchecked.append(url)
                elif fault := image_fault(data, item):
                    yield Finding(fault[0], task, f"{shown(url)}: {fault[1]}", file)
        if unchecked:
            message = f"{len(unchecked)} of {len(self._heap)} images in the sample, such as {shown(unchecked[0])}"
            yield Finding(Code.IMAGE_UNCHECKED, "", message)

    def _bytes(self, url: str, client: httpx2.Client | None) -> bytes | None:
        """The image; None where it cannot be asked for."""
        if url.startswith("data:"):
            return _decoded(url)
        if url.startswith("/") and self.fetch is not None:
            return self._served(url, self.fetch)
        if url.startswith(LOCAL_FILES) and self.document_root is not None:
            return _read(self.document_root, _local_path(url) or "")
        return _fetched(url, client) if client is not None and _on_the_web(url) else None

    def _served(self, url: str, fetch: Callable[[str], bytes]) -> bytes:
        try:
            return fetch(url)
        except PinpointError as error:
            status = getattr(error, "status", None)
            remedy = {403: _SERVING, 404: _STORAGE}.get(status or 0, "") if url.startswith(LOCAL_FILES) else ""
            raise _FaultError(Code.IMAGE_UNREACHABLE, error.message, remedy) from error


def image_fault(data: bytes, item: Item | None) -> Fault | None:
    """What is wrong with the bytes of an image."""
    try:
        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            turned = image.getexif().get(0x0112) in (5, 6, 7, 8) and image.format != "TIFF"
            width, height = image.size[::-1] if turned else image.size
    except (OSError, ValueError, SyntaxError, EOFError, *_BOMBS) as error:
        return Code.IMAGE_DAMAGED, f"is no image: {str(error)[:80]}"
    if item is not None and (width, height) != (item.width, item.height):
        return Code.IMAGE_SIZE, f"is {width} x {height} pixels, its item {item.width} x {item.height}"
    return None


class _FaultError(Exception):
    def __init__(self, code: Code, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.code, self.remedy = code, remedy


def _on_the_web(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _client() -> httpx2.Client:
    return httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=True, max_redirects=5)


def _decoded(url: str) -> bytes:
    head, mark, body = url.partition(",")
    if not mark or not head.endswith(";base64"):
        raise _FaultError(Code.IMAGE_DAMAGED, "is no base64 data URI")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _FaultError(Code.IMAGE_DAMAGED, f"is not base64: {error}") from error


def _read(root: Path, relative: str) -> bytes:
    try:
        path = safe_path(root, relative)
        if not path.is_file():
            raise _FaultError(Code.IMAGE_MISSING, f"there is no such file below {root}")
        return path.read_bytes()
    except PageError as error:
        raise _FaultError(Code.IMAGE_OUTSIDE, error.message) from error
    except OSError as error:
        remedy = "make it readable to you and to the server"
        raise _FaultError(Code.IMAGE_MISSING, error.strerror or str(error), remedy) from error


def _fetched(url: str, client: httpx2.Client) -> bytes:
    """At most `_MAX_BYTES` of what an address answers; no key is ever sent there."""
    try:
        with client.stream("GET", url) as response:
            kind = response.headers.get("content-type", "")
            if response.status_code >= 400:
                raise _FaultError(Code.IMAGE_UNREACHABLE, f"answers {response.status_code}")
            if kind.startswith("text/"):
                raise _FaultError(Code.IMAGE_UNREACHABLE, f"answers with {kind[:40]}, not an image (a login page?)")
            data = bytearray()
            for piece in response.iter_bytes():
                data += piece
                if len(data) > _MAX_BYTES:
                    raise _FaultError(Code.IMAGE_UNREACHABLE, f"is larger than {_MAX_BYTES:,} bytes")
            return bytes(data)
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
        raise _FaultError(Code.IMAGE_UNREACHABLE, f"{type(error).__name__}: {error}"[:160]) from error
