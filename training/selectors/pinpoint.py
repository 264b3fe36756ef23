"""PinPoint: tokens of the windows that a trained run ranks first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pinpoint_data.errors import TrainingError
from pinpoint_data.windows import make_windows
from training.selectors.base import Kept, Need, Selector
from training.selectors.by_windows import keep_by_windows

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample


class PinpointSelector(Selector):
    """The windows that a run's aligner finds most similar to the question (PinPoint, CVPR 2026, arXiv 2603.22815).

    s(window, question) = (1/K) sum_k cos(E^v_k, E^t_k), see `training.aligner.model`; windows are those that the run
    was trained on. It reads the sample's own visual tokens, so that no page is encoded twice. A token takes the best
    score of a window that holds it (see `keep_by_windows`): ours, and the rule of `pinpoint evaluate`, whose evidence
    scores at the same budgets these equal. PinPoint itself keeps whole windows until a share of the page is covered.
    Budgets nest.
    """

    name = "pinpoint"
    needs: frozenset[Need] = frozenset({"run"})

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        """The tokens of the best windows.

        Raises:
            TrainingError: The run expects tokens of another width.
        """
        from training.backbones.base import EncodedPage
        from training.flops import AlignerShape, aligner_flops

        run, tokens = sample.run, sample.tokens
        made, expected = tokens.shape[1], run.backbone.token_dim
        if made != expected:
            raise TrainingError(
                f"the run expects visual tokens of {expected} features, those of the pages have {made}",
                file=run.path,
                record=f"question {sample.question_id}",
                remedy="name a run that was trained on this backbone",
            )
        grids = [page.grid for page in sample.pages]
        pages = [EncodedPage(grid, tokens[place]) for grid, place in zip(grids, sample.slices, strict=True)]
        windows = [make_windows(grid, run.window_spec) for grid in grids]
        scores = run.score_windows(pages, windows, sample.question)
        shape = AlignerShape.of(run.config, expected, run.backbone.question_dim)
        flops = aligner_flops(shape, [(grid.rows, grid.cols) for grid in grids], len(sample.question_tokens)).total
        return keep_by_windows(sample, windows, scores, budgets, flops)
