"""What validation says: findings with stable codes, and the protocol of the rules that make them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pinpoint_data.errors import one_line

if TYPE_CHECKING:
    from pinpoint_data.validation.view import WorkspaceView

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


@dataclass(frozen=True)
class Limits:
    """Thresholds of the rules.

    Attributes:
        tolerance_px: How far a box may reach beyond its page, in pixels; 1e-6 more is allowed for float arithmetic.
        tiny_px: A box with a side below this many pixels is tiny.
        duplicate_iou: Two boxes of one annotator on one page are duplicates above this IoU.
        near_duplicate_iou: From this IoU up to `duplicate_iou` they are nearly the same box.
        inside_share: A box lies inside another one if it holds at least this share of its area.
        covers_share: A box of at least this share of its page's area covers the page.
        clip_share: A box that leaves its page may be clipped if at least this share of its area lies on the page;
            one that lies further out is no slip of the mouse.
        offset_heights: Boxes are offset if the median shift is at least this many median box heights, and 1 px.
        size_ratio: Boxes are systematically larger or smaller from this median ratio of widths or heights.
        size_z: A box's size is unusual from this robust z score of its log area.
        speed_ratio: An annotator is fast if the median lead time is below the others' divided by this.
        sample: What is said about an annotator rests on at least this many boxes or verdicts.
    """

    tolerance_px: float = 0.0
    tiny_px: float = 2.0
    duplicate_iou: float = 0.98
    near_duplicate_iou: float = 0.8
    inside_share: float = 0.98
    covers_share: float = 0.95
    clip_share: float = 0.75
    offset_heights: float = 0.1
    size_ratio: float = 1.5
    size_z: float = 5.0
    speed_ratio: float = 4.0
    sample: int = 20


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One place where a rule is broken; the rule adds its code, severity and remedy.

    Attributes:
        table: The table the row stands in.
        part: The part of the table, where the hit is about one.
        message: What is wrong there, with numbers.
        question_id: The question, where there is one.
        annotator: Whose region or verdict it is; None for adjudicated evidence.
        region_id: `region_id` of an annotation or `evidence_id` of adjudicated evidence.
        page_index: 0-based, into the question's own pages.
        page_id: The page, where the row names one.
    """

    table: str
    message: str
    part: str | None = None
    question_id: str | None = None
    annotator: str | None = None
    region_id: str | None = None
    page_index: int | None = None
    page_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Finding(Hit):
    """A hit of a rule, complete."""

    code: str
    severity: Severity
    remedy: str

    @classmethod
    def of(cls, rule: Rule, hit: Hit) -> Finding:
        """The finding that `rule` makes of `hit`."""
        return cls(**vars(hit), code=rule.code, severity=rule.severity, remedy=rule.remedy)

    def to_json(self) -> dict[str, Any]:
        """All fields, JSON-ready."""
        return dict(vars(self))

    def __str__(self) -> str:
        whose = f"by {self.annotator}" if self.annotator else ""
        page = "" if self.page_index is None else f"page {self.page_index}"
        region = f"region {self.region_id}" if self.region_id else ""
        place = [self.question_id or self.page_id or "", page, region, whose]
        return one_line(f"{self.table}: {', '.join(part for part in place if part) or 'table'}: {self.message}")


class Rule(Protocol):
    """A named check of a workspace. One rule, one code.

    A package adds its own through the entry point group `pinpoint.rules`: each entry point names an object
    with these members, or a sequence of such objects. `FunctionRule` is the short way to make one.
    """

    @property
    def code(self) -> str:
        """Stable name, lower case with dashes."""

    @property
    def severity(self) -> Severity:
        """`info` does not count as a failure."""

    @property
    def what(self) -> str:
        """What the rule finds, in a phrase."""

    @property
    def why(self) -> str:
        """Why it matters to a dataset or a model."""

    @property
    def remedy(self) -> str:
        """What to do about a finding."""

    def check(self, view: WorkspaceView, limits: Limits) -> Iterable[Hit]:
        """Every place where the rule is broken."""


@dataclass(frozen=True, kw_only=True)
class FunctionRule:
    """A rule whose check is a function of a view and limits; see `Rule`."""

    code: str
    severity: Severity
    what: str
    why: str
    remedy: str
    function: Callable[[WorkspaceView, Limits], Iterator[Hit]]

    def check(self, view: WorkspaceView, limits: Limits) -> Iterator[Hit]:
        """Every place where the rule is broken."""
        return self.function(view, limits)


def codes_table(rules: Iterable[Rule]) -> str:
    """A Markdown table of rules: code, severity, what, why it matters, remedy."""
    rows = [(f"`{r.code}`", r.severity, r.what, r.why, r.remedy) for r in rules]
    head = ("code", "severity", "what", "why it matters", "remedy")
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"
