"""What is in `benchmark.json`: the models that a summary is checked against, and the JSON Schema made from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from training.benchmark.summary import BENCHMARK_VERSION, SCHEMA_NAME

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class _Object(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Score(_Object):
    """A mean with its 95 % interval, or a ratio or difference of two means."""

    mean: float | None
    """Null where a lift is over a control whose mean is 0."""
    low: float | None
    """Lower end; null where there is one document, or a resample in which a lift's control has mean 0."""
    high: float | None
    """Upper end; null as the lower."""
    n: Count
    """Questions, or boxes in a stratum of boxes, that the mean is over."""


Scores = dict[str, Score]
"""By score: `evidence_recall@0.10` and so on; a score that nobody has is left out."""


class Questions(_Object):
    """How many questions the figures are about."""

    scored: Count
    documents: Count
    pages_per_question: float
    by_source: dict[str, Count]
    left_out: dict[str, Count]
    """Questions that were not scored, by reason."""
    refused: dict[str, Count]
    """Questions whose pages could not be used, by code; `no-answer`: scored, but some answer to it failed."""


class Rows(_Object):
    """Where the rows, one a question and selector, come from."""

    reused: Count
    """Rows that an earlier run had measured."""
    devices: dict[str, Count]
    """Rows by the device they were measured on."""


class Clipping(_Object):
    """Evidence outside the token grids, which no selector can keep."""

    questions: Count
    mean_share_lost: float
    largest_share_lost: float


class Bootstrap(_Object):
    """How the intervals were made."""

    unit: Literal["document"]
    resamples: Count
    seed: Count
    level: Share


class Stratum(_Object):
    """Scores over some of the questions, or some of the boxes."""

    questions: Count
    boxes: Count
    scores: dict[str, Scores]
    """By selector."""


class Strata(_Object):
    """Scores by kinds of questions and boxes, each by the name of the stratum."""

    role: dict[str, Stratum]
    """`answer`, `support`: over questions, the boxes of that role alone."""
    box_size: dict[str, Stratum]
    """Over boxes, by the share of the page's area that a box takes."""
    boxes: dict[str, Stratum]
    """Over questions, by the number of their boxes."""
    position: dict[str, Stratum]
    """Over boxes, by the fifth of the page's height that the centre lies in, from the top."""
    pages: dict[str, Stratum]
    """Over questions of a `single` page, or of `several`."""
    source: dict[str, Stratum]
    """Over questions, by their source."""


class Seconds(_Object):
    """Time to select at `cost_budget`, a question, over the questions that used the component."""

    mean: float
    median: float
    n: Count


class Flops(_Object):
    """Floating-point operations to select at `cost_budget`, a question, over those that used the component."""

    mean: float
    n: Count


class Costs(_Object):
    """What selecting costs, by component: `choice` is the selector's own work, the others are signals it uses."""

    seconds: dict[str, Seconds]
    flops: dict[str, Flops]


class Backbone(BaseModel):
    """Whose tokens are selected, with whatever decides what they are."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    name: str


class Settings(BaseModel):
    """What was asked for."""

    model_config = ConfigDict(
        extra="allow", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    budgets: list[Share]
    seed: Count
    limit: Count | None
    """At most so many questions; null for all."""
    options: dict[str, dict[str, Any]]
    """Options that selectors were given, by selector."""


class Coefficient(_Object):
    """A correlation with its 95 % interval; null where it does not exist, or does not in a resample."""

    value: Annotated[float, Field(ge=-1, le=1)] | None
    low: Annotated[float, Field(ge=-1, le=1)] | None
    high: Annotated[float, Field(ge=-1, le=1)] | None


class OverPoints(_Object):
    """Mean evidence recall against mean ANLS change, over points."""

    points: Count
    pearson: Coefficient
    spearman: Coefficient
    reason: str | None
    """Why there is no correlation; null where there is one."""


class Point(_Object):
    """A selector at a budget."""

    selector: str
    budget: Share
    recall: float | None
    anls_change: float | None
    """ANLS of answers from the kept tokens minus ANLS of answers from all tokens."""


class OverQuestions(_Object):
    """Evidence recall against ANLS of a selector at a budget, over questions."""

    selector: str
    budget: Share
    pearson: Coefficient
    spearman: Coefficient
    reason: str | None
    """Why there is no correlation; null where there is one."""


class Correlation(_Object):
    """What evidence recall says about answers."""

    questions: Count
    """Those that have every score of every point."""
    documents: Count
    points: list[Point]
    over_points: OverPoints
    by_budget: dict[str, OverPoints]
    by_question: list[OverQuestions]


class BenchmarkSummary(_Object):
    """The figures of a benchmark, with what a reader must know beside them."""

    # `schema` is a method of every pydantic model.
    schema_name: Literal["pinpoint-benchmark"] = Field(alias="schema")
    version: Literal[1]
    program: str
    dataset: str
    split: str
    run: str | None
    """Folder name of the trained run whose grid and documents were used."""
    backbone: Backbone
    plumbing: bool
    """The model is a random tiny one: the figures test the program, and are no results."""
    settings: Settings
    budgets: list[Share]
    """Shares of the tokens of all a question's pages that may be kept."""
    cost_budget: Share
    """The one of them that `costs` are those of selecting, alone: the nearest to .25."""
    questions: Questions
    rows: Rows
    clipping: Clipping
    bootstrap: Bootstrap
    selectors: list[str]
    """Those that were compared, in order."""
    unavailable: dict[str, str]
    """Those that could not run here, with the reason."""
    scores: dict[str, Scores]
    """By selector."""
    lift: dict[str, dict[str, Scores]]
    """By control (`random`, `uniform`), by selector: the selector's mean over the control's."""
    differences: dict[str, dict[str, Scores]]
    """Of every pair once, the first in order minus the second, paired; negate for the other way round."""
    strata: Strata
    costs: dict[str, Costs]
    """By selector."""
    correlation: Correlation | None
    """Null where no answers were generated."""
    warnings: list[str]
    examples: list[str]
    """Ids of the questions that are drawn."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `benchmark.json`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA_NAME,
        "version": BENCHMARK_VERSION,
        **_untitled(BenchmarkSummary.model_json_schema()),
    }


def _untitled(schema: Any) -> Any:
    """Without the titles that repeat the names of models and fields."""
    if isinstance(schema, list):
        return [_untitled(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _untitled(part) for key, part in schema.items() if key != "title"}
