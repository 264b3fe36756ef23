"""A backbone that ends its worker; workers import it by name."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.training.features.build import FakeBackbone
from training.backbones.base import EncodedPage
from training.pages.input import PageInput


class DeadlyBackbone(FakeBackbone):
    """Kills its worker on one page every time, while `fuse` is there; each try leaves a line in it."""

    def __init__(self, fuse: str, page: str = "src/2") -> None:
        super().__init__()
        self.fuse, self.page = Path(fuse), page

    def encode_pages(self, pages: Sequence[PageInput]) -> list[EncodedPage]:
        if self.fuse.exists() and self.page in [page.page_id for page in pages]:
            with self.fuse.open("a") as log:
                log.write("try\n")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode_pages(pages)
