"""A trained run as a window scorer."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from training.window_scorers.base import QuestionView, Scores, register_scorer

if TYPE_CHECKING:
    from pinpoint_data.grids import TokenGrid
    from pinpoint_data.windows import WindowSpec
    from training.backbones.base import EncodedPage
    from training.checkpoint import Run
    from training.pages.cache import PageTokens
    from training.pages.input import PageInput

KEPT_BYTES = 2**30
_PAGES_AT_ONCE = 32

Group = list[int]


class PinpointScorer:
    """Scores windows with a run's aligner; an encoded page is kept for the next questions over it.

    Args:
        run: A loaded run, or the folder of one.
        tokens: Where visual tokens are read from (a feature cache); None: pages are encoded by the run's backbone.
        kept_bytes: Memory for encoded pages.

    Attributes:
        seconds: Spent so far on `encode` (visual tokens) and `score` (the aligner).
    """

    name = "pinpoint"

    def __init__(
        self, run: Run | Path | str, tokens: PageTokens | None = None, *, kept_bytes: int = KEPT_BYTES
    ) -> None:
        if isinstance(run, (str, Path)):
            from training.checkpoint import load_run

            run = load_run(Path(run))
        self.run, self.tokens, self.kept_bytes = run, tokens, kept_bytes
        self.seconds = {"encode": 0.0, "score": 0.0}
        self._encoded: OrderedDict[str, EncodedPage] = OrderedDict()
        self._used = 0

    @property
    def window_spec(self) -> WindowSpec:
        """The windows that the run was trained on."""
        return self.run.window_spec

    def grid(self, width: int, height: int) -> TokenGrid:
        """The backbone's grid."""
        return self.run.backbone.grid(width, height)

    def score(self, view: QuestionView) -> Scores:
        """The aligner's similarity of question and window, -1 to 1."""
        return self.score_many([view])[0]

    def score_many(self, views: Sequence[QuestionView]) -> list[Scores]:
        """`score` of several views: pages are encoded in batches, questions over the same pages scored together."""
        scores: list[Scores] = [[] for _ in views]
        batches = list(_batches(views))
        for number, batch in enumerate(batches):
            with self._timed("encode"):
                pages = self._encode([page.page_input for group in batch for page in views[group[0]].pages])
                if self.tokens is not None and number + 1 < len(batches):
                    ahead = {page.page_input.page_id: None for g in batches[number + 1] for page in views[g[0]].pages}
                    self.tokens.prefetch(list(ahead))
            with self._timed("score"):
                for group in batch:
                    for index, found in zip(group, self._score(views, group, pages), strict=True):
                        scores[index] = found
            self._forget()
        return scores

    def _score(self, views: Sequence[QuestionView], group: Group, pages: dict[str, EncodedPage]) -> list[Scores]:
        shown = views[group[0]].pages
        return self.run.score_windows_many(
            [pages[page.page_input.key] for page in shown],
            [page.windows for page in shown],
            [views[index].question for index in group],
        )

    def _encode(self, pages: Sequence[PageInput]) -> dict[str, EncodedPage]:
        """Visual tokens by the page's key, from memory where a page was met lately."""
        from training.backbones.base import EncodedPage, encode_pages

        wanted = {page.key: page for page in pages}
        missing = [page for key, page in wanted.items() if key not in self._encoded]
        backbone = self.run.backbone
        if self.tokens is None:
            made = encode_pages(backbone, missing)
        else:
            made = [
                EncodedPage(backbone.grid(page.width, page.height), self.tokens.tokens(page.page_id))
                for page in missing
            ]
        for page, encoded in zip(missing, made, strict=True):
            self._encoded[page.key] = encoded
            self._used += encoded.tensor().nbytes
        for key in wanted:
            self._encoded.move_to_end(key)
        return {key: self._encoded[key] for key in wanted}

    def _forget(self) -> None:
        """Let the pages go that were met longest ago, above the memory allowed."""
        while self._used > self.kept_bytes:
            _, forgotten = self._encoded.popitem(last=False)
            self._used -= forgotten.tensor().nbytes

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        _wait_for_device()
        self.seconds[step] += time.perf_counter() - started


def _wait_for_device() -> None:
    """Work on a GPU goes on behind the program's back; a clock read before it is done measures nothing."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _batches(views: Sequence[QuestionView]) -> Iterator[list[Group]]:
    """Indices of the views, those over the same pages and windows in one group; groups of some pages at a time."""
    groups: dict[Hashable, Group] = {}
    for index, view in enumerate(views):
        pages = tuple((page.page_input.key, page.grid, page.windows.rows_cols.tobytes()) for page in view.pages)
        groups.setdefault(pages, []).append(index)
    batch: list[Group] = []
    count = 0
    for group in groups.values():
        size = len(views[group[0]].pages)
        if batch and count + size > _PAGES_AT_ONCE:
            yield batch
            batch, count = [], 0
        batch.append(group)
        count += size
    if batch:
        yield batch


register_scorer("pinpoint", PinpointScorer)
