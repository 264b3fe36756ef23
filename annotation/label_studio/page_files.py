"""What an item shows as a file a browser can open: the page's own bytes where they will do, else drawn anew."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from annotation.label_studio.geometry import Rect
from pinpoint_data.errors import PageError
from pinpoint_data.pages import IMAGE_FORMATS, load_page, safe_path

_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp"}
MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
}
_DRAWING = "1"
"""Raised when drawn files would look different; it is part of their names."""

_JPEG_QUALITY = 95
_ORIENTATION_TAG = 0x0112


@dataclass(eq=False)
class SourcePage:
    """A page of a workspace, decoded at most once while it is worked on.

    Attributes:
        root: The folder of the page's source.
        row: Its row of the table `pages`.
    """

    root: Path
    row: Mapping[str, Any]
    _image: Image.Image | None = field(default=None, repr=False)
    _format: tuple[str, bool] | None = field(default=None, repr=False)
    _digest: str | None = field(default=None, repr=False)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, after EXIF orientation."""
        return self.row["width"], self.row["height"]

    @property
    def path(self) -> Path:
        """The page's file.

        Raises:
            PageError: It leads out of the source's folder.
        """
        return safe_path(self.root, self.row["path"])

    def image(self) -> Image.Image:
        """The decoded page, kept until `release`.

        Raises:
            PageError: It is missing, broken, or of another size than the workspace says.
        """
        if self._image is None:
            self._image = load_page(self.root, self.row)
        return self._image

    def release(self) -> None:
        """Forget the pixels."""
        self._image = None

    def format(self) -> tuple[str, bool]:
        """The file's format, and whether a browser shows it upright, whole and in the row's size.

        A PDF is `("PDF", False)`. JPEG files turned by EXIF are shown upright by every browser; of other formats
        that is not known, so they are drawn. So are animations.

        Raises:
            PageError: It cannot be opened.
        """
        if self.row["pdf_page"] is not None:
            return "PDF", False
        if self._format is None:
            self._format = self._probe()
        return self._format

    def _probe(self) -> tuple[str, bool]:
        with self._opened() as image:
            orientation = image.getexif().get(_ORIENTATION_TAG, 1)
            size = image.size[::-1] if orientation in (5, 6, 7, 8) and image.format != "TIFF" else image.size
            name = image.format or ""
            turned = orientation != 1 and name not in ("JPEG", "MPO")
            moving = name not in ("JPEG", "MPO") and getattr(image, "n_frames", 1) > 1
        if size != self.size:
            raise PageError(
                "changed-page",
                f"is {size[0]} x {size[1]} pixels now, the workspace says {self.size[0]} x {self.size[1]}",
                file=self.path,
                remedy="ingest the source again",
            )
        return name, name in _SUFFIXES and not turned and not moving

    @contextmanager
    def _opened(self) -> Iterator[Image.Image]:
        try:
            with Image.open(self.path, formats=IMAGE_FORMATS) as image:
                yield image
        except FileNotFoundError as error:
            raise PageError("missing-image", "no such file", file=self.path) from error
        except UnidentifiedImageError as error:
            raise PageError(
                "wrong-type", f"is not an image of type {', '.join(IMAGE_FORMATS)}", file=self.path
            ) from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise PageError("decompression-bomb", str(error), file=self.path, remedy="scale the page down") from error
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise PageError("unreadable-image", str(error) or type(error).__name__, file=self.path) from error

    def digest(self) -> str:
        """SHA-256 of the page's file: the workspace's, else taken now."""
        if self._digest is None:
            self._digest = self.row["sha256"] or hashlib.sha256(self._bytes()).hexdigest()
        return self._digest

    def original(self) -> bytes:
        """The file's own bytes.

        Raises:
            PageError: They are not those that were ingested.
        """
        data = self._bytes()
        if self.row["sha256"] and hashlib.sha256(data).hexdigest() != self.row["sha256"]:
            raise PageError(
                "changed-page", "has changed since it was ingested", file=self.path, remedy="ingest the source again"
            )
        return data

    def _bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError as error:
            raise PageError("missing-image", "no such file", file=self.path) from error
        except OSError as error:
            raise PageError("unreadable-image", error.strerror or str(error), file=self.path) from error


@dataclass(frozen=True, eq=False)
class PagePart:
    """One item's picture: a rectangle of a page, which is the whole page for most.

    Attributes:
        page: The page.
        rect: Left, top, width, height in whole pixels.
    """

    page: SourcePage
    rect: Rect

    @property
    def whole(self) -> bool:
        """Whether it is all of the page."""
        return self.rect == (0, 0, *self.page.size)

    @property
    def is_original(self) -> bool:
        """Whether the page's own file will do."""
        return self.whole and self.page.format()[1]

    def name(self) -> str:
        """A file name that is safe everywhere and belongs to this content alone; nothing is decoded for it.

        Raises:
            PageError: The page cannot be opened.
        """
        kind, plain = self.page.format()
        if self.whole and plain:
            return self.page.digest()[:40] + _SUFFIXES[kind]
        row = self.page.row
        drawn = [self.page.digest(), row["pdf_page"], row["dpi"], *self.rect, _DRAWING]
        key = hashlib.sha256("|".join(map(str, drawn)).encode()).hexdigest()
        return key[:40] + (".jpg" if kind in ("JPEG", "MPO") else ".png")

    def data(self) -> bytes:
        """The file's bytes, of the kind that `name` says.

        Raises:
            PageError: The page is missing, broken or changed.
        """
        if self.is_original:
            return self.page.original()
        return self.drawn("JPEG" if self.name().endswith(".jpg") else "PNG", _JPEG_QUALITY)

    def drawn(self, kind: str, quality: int) -> bytes:
        """The part encoded anew as `JPEG` or `PNG`, in full resolution."""
        x, y, width, height = self.rect
        image = self.page.image()
        cut = image if self.whole else image.crop((x, y, x + width, y + height))
        buffer = io.BytesIO()
        if kind == "JPEG":
            cut.save(buffer, "JPEG", quality=quality, subsampling=0)
        else:
            cut.save(buffer, "PNG")
        return buffer.getvalue()
