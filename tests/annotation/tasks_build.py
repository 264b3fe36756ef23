"""A workspace with every kind of page that a browser shows, or does not: for the tests of tasks and preflight."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from annotation.label_studio.page_images import LocalFiles, PageImages, PagePart
from annotation.label_studio.preflight import Finding, ImageSample, preflight
from annotation.label_studio.tasks import Task, TaskOptions, build_tasks
from pinpoint_data.errors import Problem
from pinpoint_data.pages import PageFile, probe_image, probe_pdf
from pinpoint_data.workspace import Workspace
from tests.loaders import build

PRELABEL = "proposal:lexical@1"
TALL = (400, 6000)


def pattern(width: int, height: int) -> Image.Image:
    """A picture in which every pixel says where it is: red the column, green and blue the row."""
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([columns % 256, rows % 256, rows // 256], 2).astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The image as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned_exif(orientation: int = 6) -> Image.Exif:
    """EXIF data with an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@cache
def files() -> dict[str, bytes]:
    """Page files by name."""
    frames = [pattern(30, 40), pattern(30, 40).rotate(180)]
    return {
        "plain.png": saved(pattern(120, 80), "PNG"),
        "photo.jpg": saved(pattern(128, 99), "JPEG", exif=turned_exif()),
        "turned.png": saved(pattern(128, 99), "PNG", exif=turned_exif()),
        "scan.tiff": saved(pattern(90, 70), "TIFF"),
        "moving.gif": saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "still.webp": saved(pattern(50, 60), "WEBP", lossless=True),
        "report.pdf": saved(pattern(100, 140), "PDF"),
        "tall.png": saved(pattern(*TALL), "PNG"),
    }


def row(name: str, file: PageFile) -> dict[str, Any]:
    """The row of a page whose id is its file's name."""
    return build.page(f"zoo/{name}", file.path, ocr_path=None, doc_id="zoo/doc") | asdict(file)


def zoo(place: Path) -> Workspace:
    """A question `zoo/<file name>` a page, and `zoo/all` over all of them."""
    ws, root = Workspace.create(place / "ws"), place / "zoo"
    root.mkdir()
    ws.register_source("zoo", "records", root)
    pages = []
    for name, data in files().items():
        (root / name).write_bytes(data)
        found = probe_pdf(root, name)[0] if name.endswith(".pdf") else probe_image(root, name)
        assert isinstance(found, PageFile)
        pages.append(row(name, found))
    build.write(ws, "pages", "zoo-train", pages)
    ids = [page["page_id"] for page in pages]
    asked = [build.question(page_id, "train", [page_id]) for page_id in ids]
    build.write(ws, "questions", "zoo-train", [*asked, build.question("zoo/all", "train", ids)])
    return ws


def prelabel(ws: Workspace, rows: Sequence[dict[str, Any]], part: str = "zoo-train.proposal-lexical") -> None:
    """Write annotation rows."""
    build.write(ws, "annotations", part, rows)


class Names:
    """Addresses that name the part and make nothing."""

    def url(self, part: PagePart) -> str:
        return f"https://host/{part.name()}"


def tasks(ws: Workspace, images: PageImages | None = None, **options: Any) -> tuple[dict[str, Task], list[Problem]]:
    """All tasks by question, and all problems."""
    made = list(build_tasks(ws, TaskOptions(**options), images or Names()))
    found = [one for one in made if isinstance(one, Task)]
    return {task.data["question_id"]: task for task in found}, [one for one in made if isinstance(one, Problem)]


def findings(payloads: Iterable[Any], config: str | None = None, images: ImageSample | None = None) -> list[Finding]:
    """What preflight says, by default without a look at the images."""
    return list(preflight(payloads, config=config, images=images or ImageSample(0)))


def local(place: Path) -> LocalFiles:
    """Local files below `place`/root."""
    return LocalFiles(place / "root" / "pages", place / "root")
