"""How votes become a decision."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from pinpoint_data.errors import UsageError

_QUORUM = re.compile(r"(?P<number>[0-9]{1,9}(\.[0-9]{1,9})?)(/(?P<whole>[1-9][0-9]{0,8})|(?P<percent>%))?")

BoxRule = Literal["mean", "medoid"]


def box_rule(name: str) -> BoxRule:
    """The rule of that name.

    Raises:
        UsageError: There is none.
    """
    for rule in get_args(BoxRule):
        if rule == name:
            found: BoxRule = rule
            return found
    raise UsageError(f"box must be one of {', '.join(get_args(BoxRule))}, got {name!r}")


@dataclass(frozen=True)
class Quorum:
    """How many votes a box needs: a number of annotators, or a share of those who say that there is evidence.

    Attributes:
        count: Votes, 1 or more; None for a share.
        share: In (0, 1], rounded up to whole votes; None for a number.
    """

    count: int | None = None
    share: Fraction | None = None

    @classmethod
    def parse(cls, text: str) -> Quorum:
        """Read `2`, `0.5`, `2/3` or `50%`; a whole number is a number of votes, also `1`.

        Raises:
            UsageError: It is none of these.
        """
        if found := _QUORUM.fullmatch(text.strip()):
            number, whole, percent = Fraction(found["number"]), found["whole"], found["percent"]
            if whole is None and not percent and number >= 1 and found["number"].isdigit():
                return cls(count=int(number))
            share = number / (int(whole) if whole is not None else 100 if percent else 1)
            if 0 < share <= 1:
                return cls(share=share)
        raise UsageError(
            f"quorum {text!r} is neither a number of votes (2) nor a share of them (0.5, 2/3, 50%)",
            remedy="a share is above 0 and at most 1",
        )

    def needed(self, voters: int) -> int:
        """Votes needed of so many voters."""
        if self.count is not None:
            return self.count
        return max(1, math.ceil((self.share or 0) * voters))

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else str(self.share)


@dataclass(frozen=True)
class Policy:
    """How votes become a decision; its text is kept with every row that it decided.

    Attributes:
        quorum: Votes that a box needs.
        iou: Mean IoU from which boxes of different annotators are one.
        box: `mean` of the voters' boxes, or the `medoid`: the real box nearest to that mean.
        judgements: Finished judgements that a question needs at least.
        contest: A box below the quorum with at least this share of the votes makes its question a conflict; above 1
            none does.
        annotators: Patterns of names that vote; everybody but `gold:*` and `proposal:*` when empty.
        exclude: Patterns of names that do not.

    Raises:
        UsageError: A value makes no sense.
    """

    quorum: Quorum = Quorum(count=2)
    iou: float = 0.5
    box: BoxRule = "mean"
    judgements: int = 2
    contest: float = 0.5
    annotators: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.iou <= 1:
            raise UsageError(f"IoU must be above 0 and at most 1, got {self.iou}")
        box_rule(self.box)
        if self.judgements < 1:
            raise UsageError(f"a question needs 1 or more judgements, got {self.judgements}")
        if not self.contest > 0:
            raise UsageError(f"the share that contests a box must be above 0, got {self.contest}")

    def __str__(self) -> str:
        parts = [f"quorum={self.quorum}", f"iou={self.iou:g}", f"box={self.box}", f"judgements={self.judgements}"]
        parts.append(f"contest={self.contest:g}")
        parts += [f"annotators={','.join(self.annotators)}"] * bool(self.annotators)
        parts += [f"exclude={','.join(self.exclude)}"] * bool(self.exclude)
        return f"vote {' '.join(parts)}"
