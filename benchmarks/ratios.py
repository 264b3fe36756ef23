"""What a benchmark found out against a named alternative, and where `run_all.py` picks it up."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RATIOS_FILE = "PINPOINT_RATIOS"


@dataclass(frozen=True)
class Ratio:
    """One quantity of ours and of an alternative, measured in the same run.

    Attributes:
        what: What was done, the same in every run.
        quantity: What was measured, for example `seconds`.
        ours: Its value, in the quantity's unit.
        alternative: Who else did it.
        theirs: Their value.
        less_is_better: Seconds and bytes; not recall or rates.
    """

    what: str
    quantity: str
    ours: float
    alternative: str
    theirs: float
    less_is_better: bool = True

    @property
    def times_better(self) -> float:
        """How many times better ours is; below 1 where it is worse, infinite beside 0, NaN where both are 0."""
        more, less = (self.theirs, self.ours) if self.less_is_better else (self.ours, self.theirs)
        if less == 0:
            return math.inf if more > 0 else math.nan
        return more / less


def hand_over(ratios: Iterable[Ratio]) -> None:
    """Append ratios to the file that the environment names; without one, only people read what was printed."""
    name = os.environ.get(RATIOS_FILE)
    if name:
        with Path(name).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(ratio)) + "\n" for ratio in ratios)


def hand_over_recalls(
    what: str, scores: Mapping[str, Mapping[str, Mapping[str, Any]]], ours: Iterable[str], others: Iterable[str]
) -> None:
    """Mean evidence recall of our rows beside the others', at a tenth, a quarter and six tenths of the tokens.

    Args:
        what: What was scored; the source is added.
        scores: Source, row and score to an interval with its `mean`, as our JSON files hold them.
        ours: Names of rows.
        others: Names of the rows they are compared with.
    """
    names = list(others)
    hand_over(
        Ratio(f"{what}, {source}: {row}", score, rows[row][score]["mean"], other, rows[other][score]["mean"], False)
        for source, rows in scores.items()
        for row in ours
        for score in ("evidence_recall@0.10", "evidence_recall@0.25", "evidence_recall@0.60")
        for other in names
        if rows[other][score]["mean"]
    )


def taken(file: Path) -> list[Ratio]:
    """What a benchmark handed over."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [Ratio(**json.loads(line)) for line in lines]
