"""Small pictures of pages inside the report, as data URIs.

Size budget: a picture has at most 0.4 megapixels (an A4 page is 532 x 752) in a JPEG of quality 60, which is 40 to
90 kB of text in the file for pages full of words. So the default of 50 questions adds 2 to 5 MB.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping

from PIL import Image

from annotation.report.campaign import Row
from annotation.report.text import shown
from pinpoint_data.errors import PageError, PinpointError, Problem
from pinpoint_data.pages import load_page
from pinpoint_data.progress import track
from pinpoint_data.workspace import Workspace

PIXELS = 400_000
LONGEST = 16_000
"""JPEG allows sides of 65,500 pixels; a page of one column of pixels needs a limit of its own."""
QUALITY = 60


def pictures(
    workspace: Workspace, rows: Mapping[str, Row], page_ids: Iterable[str]
) -> tuple[dict[str, str], list[Problem]]:
    """Page id -> data URI of each page that can be read, and the problems of the others.

    Args:
        workspace: Where the pages' files are looked for.
        rows: Page id -> row of `pages`.
        page_ids: The pages.
    """
    made: dict[str, str] = {}
    problems = []
    for page_id in track(list(dict.fromkeys(page_ids)), "pictures"):
        row = rows.get(page_id)
        try:
            if row is None:
                raise PageError("missing-image", "the workspace knows no such page", remedy="ingest the source again")
            made[page_id] = data_uri(load_page(workspace.root_of(row["source"]), row))
        except PinpointError as error:
            problems.append(Problem.of(error, code="no-picture", file="pages", record=shown(page_id)))
    return made, problems


def data_uri(image: Image.Image) -> str:
    """The picture of a page as a JPEG of at most about `PIXELS` pixels; a very tall page keeps its shape."""
    scale = min(1.0, (PIXELS / (image.width * image.height)) ** 0.5, LONGEST / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    buffer = io.BytesIO()
    # `reducing_gap` halves in steps before the last, exact one: much faster on large scans, and as good to look at.
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    small.save(buffer, format="JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
