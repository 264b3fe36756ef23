"""A whole benchmark: dataset and workspace in, every method's evidence recall out, as JSON, tables and a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loaders.samples import Sample, load_samples
from pinpoint_data import __version__
from pinpoint_data.atomic import write_json, write_text
from pinpoint_data.errors import PageError, TrainingError, UsageError
from pinpoint_data.ranking import token_budget
from pinpoint_data.windows import WindowSpec
from pinpoint_data.workspace import Workspace
from training.backbones.base import Backbone
from training.benchmark.collect import collect
from training.benchmark.curves import save_curves
from training.benchmark.data import BenchmarkData
from training.benchmark.examples import Example, choose_examples, make_example
from training.benchmark.families import first_shown, nearest
from training.benchmark.html import write_html
from training.benchmark.log import BenchmarkLog
from training.benchmark.opening import ChosenSelectors, ModelOptions, choose_selectors, open_backbone, open_source
from training.benchmark.pictures import figure_selectors, save_figure
from training.benchmark.summary import summarise_benchmark
from training.benchmark.tables import benchmark_csv, benchmark_markdown
from training.checkpoint import Run, run_identity
from training.devices import device_name
from training.evaluation.intervals import RESAMPLES
from training.evaluation.pages import PageViews, check_pages
from training.evaluation.question_scores import measured_evidence
from training.evaluation.run import check_shares
from training.evaluation.split import ChosenQuestions, choose_questions, first_questions, listed, with_gold
from training.pages.store import PageStore
from training.selectors import ModelSource, Need, Selector, SignalSource, checked_select

if TYPE_CHECKING:
    from training.backbones.vlm import VlmBackbone

BUDGETS = (0.05, 0.10, 0.20, 0.25, 0.33, 0.50, 0.60)
ANSWER_BUDGETS = (0.10, 0.25, 0.60)
MAX_NEW_TOKENS = 32
EXAMPLES = 4
EXAMPLE_BUDGET = 0.25
SAMPLES_FILE = "samples.jsonl"
_LEAST_WIDTH = 512
"""A language model narrower than this is no published one: its weights are random, and so are its figures."""


@dataclass(frozen=True)
class BenchmarkSettings:
    """What to compare, on what, and how.

    Attributes:
        selectors: Names, or `package.module:attribute`; none for all that can run.
        options: Of some selectors, by name.
        budgets: Shares of tokens.
        split: See `choose_questions`.
        sources: Of the dataset; None for all.
        limit: At most so many questions: the same ones each time, and those of a smaller limit among them.
        answers: Answer too, and correlate.
        answer_budgets: Shares of tokens to answer from.
        max_new_tokens: The longest answer.
        examples: How many questions are drawn.
        questions: Ids of questions to draw.
        example_budget: The budget that they are drawn at; the nearest of `budgets`.
        resamples: Of the bootstrap.
        seed: Of the bootstrap and of whatever selects at random.
    """

    selectors: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    budgets: tuple[float, ...] = BUDGETS
    split: str | None = None
    sources: tuple[str, ...] | None = None
    limit: int | None = None
    answers: bool = False
    answer_budgets: tuple[float, ...] = ANSWER_BUDGETS
    max_new_tokens: int = MAX_NEW_TOKENS
    examples: int = EXAMPLES
    questions: tuple[str, ...] = ()
    example_budget: float = EXAMPLE_BUDGET
    resamples: int = RESAMPLES
    seed: int = 0

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: It does not.
        """
        check_shares("budgets", self.budgets)
        check_shares("example_budget", (self.example_budget,))
        if self.answers:
            check_shares("answer_budgets", self.answer_budgets)
            if beyond := set(self.answer_budgets) - set(self.budgets):
                raise UsageError(f"answer_budgets must be among the budgets, got {min(beyond):g}")


def run_benchmark(
    dataset: Path,
    workspace: Path,
    out: Path,
    settings: BenchmarkSettings,
    *,
    run: Path | None = None,
    model: ModelOptions | None = None,
    cache: Path | None = None,
) -> tuple[BenchmarkData, dict[str, Any]]:
    """Ask every selector about every question, and write what came of it to `out`.

    A row a question and selector is written to `out/samples.jsonl` when it is there; the same call later takes from
    there whatever the same selector, settings, tokens, question, pages and boxes have given before. Then
    `benchmark.json`, `.md`, `.csv` and `.html`, `curves.svg`, and a picture a drawn question.

    Args:
        dataset: The dataset folder.
        workspace: The workspace it was published from.
        out: Folder for the files.
        settings: What to compare.
        run: A trained run, for the selectors that need one; everybody then selects on its grid, from documents that it
            has not learnt from.
        model: A vision-language model to select in; None for the embedded backbone.
        cache: Feature cache that visual tokens are read from.

    Returns:
        Every figure, and the JSON-ready summary.

    Raises:
        UsageError: A setting makes no sense, a selector that was named cannot run, or another process writes to `out`.
        TrainingError: There is nothing to score, the workspace does not fit the dataset, or a selector failed.
    """
    settings.check()
    options = model or ModelOptions()
    chosen = choose_selectors(settings.selectors, settings.options)
    language = settings.answers or "decoder" in chosen.needs
    backbone, opened = open_backbone(run, options, language=language)
    store = PageStore.of_backbone(Workspace.open(workspace), backbone)
    with ExitStack() as stack:
        source = open_source(
            stack, backbone, store, run=opened, options=options, cache=cache, seed=settings.seed, needs=chosen.needs
        )
        words: frozenset[Need] = frozenset({"words"}) if store.has_words else frozenset()
        chosen.keep_offered(source.offers | words, cached=cache is not None and not backbone.reads_words)
        if settings.answers and not isinstance(source, ModelSource):
            raise UsageError("answers need a vision-language model", remedy="name it with --model, without --cache")
        asked = _questions(dataset, settings, opened)
        choose_examples(asked.samples, 0, settings.questions)  # refuses unknown ones before hours of work
        check_pages(store, asked.samples)
        views = PageViews(store, backbone.grid, opened.window_spec if opened is not None else WindowSpec())
        identities = _identities(chosen, source)
        device = device_name(source.device)
        selectors = list(chosen.made.values())
        with BenchmarkLog(out / SAMPLES_FILE) as log:
            data = collect(
                asked.samples,
                views,
                source,
                selectors,
                identities,
                settings.budgets,
                log,
                device=device,
            )
            unreadable = log.unreadable
        data.left_out += asked.left_out
        if not data.samples:
            raise _nothing_scored(dataset, data)
        data.outcome.counts["questions scored"] = len(data.samples)
        correlation, notes = _answers(data, views, source, selectors, identities, settings, out)
        picked = choose_examples(data.samples, settings.examples, settings.questions)
        examples, undrawn = _examples(picked, views, source, selectors, settings)
    summary = summarise_benchmark(data, resamples=settings.resamples, seed=settings.seed)
    summary |= _facts(dataset, settings, backbone, opened, chosen, asked, views, data, unreadable)
    summary["warnings"] += notes + undrawn
    summary |= {"correlation": correlation, "examples": [example.question_id for example in examples]}
    write_benchmark(out, summary, examples)
    return data, summary


def write_benchmark(out: Path, summary: dict[str, Any], examples: Sequence[Example]) -> None:
    """Write `benchmark.md`, `.csv` and `.html`, `curves.svg`, a picture an example, and last `benchmark.json`."""
    write_text(out / "benchmark.md", benchmark_markdown(summary))
    write_text(out / "benchmark.csv", benchmark_csv(summary))
    save_curves(out / "curves.svg", summary)
    write_html(out / "benchmark.html", summary, examples)
    # Pictures of questions that an earlier call drew would be taken for this one's.
    for earlier in (out / "examples").glob("example-*.png"):
        earlier.unlink(missing_ok=True)
    drawn = figure_selectors(first_shown(summary))
    for number, example in enumerate(examples, start=1):
        save_figure(example, out / "examples" / f"example-{number}.png", drawn, plumbing=summary["plumbing"])
    write_json(out / "benchmark.json", summary)


def _questions(dataset: Path, settings: BenchmarkSettings, run: Run | None) -> ChosenQuestions:
    chosen = choose_questions(
        load_samples(dataset, settings.sources), settings.split, run.documents if run is not None else None
    )
    asked = with_gold(chosen.samples, chosen.left_out)
    chosen.samples = first_questions(asked, settings.limit)
    if beyond := len(asked) - len(chosen.samples):
        chosen.left_out["beyond --limit"] = beyond
    return chosen


def _identities(chosen: ChosenSelectors, source: SignalSource) -> dict[str, dict[str, Any]]:
    """What the choices of each selector, by its own name, depend on beside question and pages, JSON-ready."""
    common: dict[str, Any] = {"backbone": source.backbone.spec(), "seed": source.seed}
    found: dict[str, dict[str, Any]] = {}
    for name, selector in chosen.made.items():
        own = common | {"selector": name, "version": selector.version, "options": _jsonable(chosen.options[name])}
        own |= selector.identity()
        if "run" in selector.needs and source.run is not None:
            own |= {"run": run_identity(source.run)}
        if "clip" in selector.needs and isinstance(source, ModelSource) and source.clip is not None:
            own |= {"clip": source.clip.fingerprint}
        found[selector.name] = own
    return found


def _jsonable(options: Mapping[str, Any]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(json.dumps(dict(options), default=str))
    return loaded


def _answers(
    data: BenchmarkData,
    views: PageViews,
    source: SignalSource,
    selectors: Sequence[Selector],
    identities: Mapping[str, Mapping[str, Any]],
    settings: BenchmarkSettings,
    out: Path,
) -> tuple[dict[str, Any] | None, list[str]]:
    """The correlation, where answers were asked for, and what a reader must know of them."""
    if not (settings.answers and data.samples):
        return None, []
    # Transformers takes seconds to import, which a benchmark on the embedded backbone need not wait for.
    from training.benchmark.answers import answer_and_correlate

    assert isinstance(source, ModelSource)
    return answer_and_correlate(
        data,
        views,
        source,
        selectors,
        identities,
        settings.answer_budgets,
        out,
        device=device_name(source.device),
        max_new_tokens=settings.max_new_tokens,
        resamples=settings.resamples,
        seed=settings.seed,
    )


def _nothing_scored(dataset: Path, data: BenchmarkData) -> TrainingError:
    if data.outcome.refused:
        first = f"no question can be scored: all {data.outcome.refused.total():,} are refused, the first for"
        return TrainingError(f"{first} {data.outcome.problems[0]}", file=dataset)
    return TrainingError(f"no question to score has gold boxes ({listed(data.left_out)})", file=dataset)


def _examples(
    picked: Sequence[Sample],
    views: PageViews,
    source: SignalSource,
    selectors: Sequence[Selector],
    settings: BenchmarkSettings,
) -> tuple[list[Example], list[str]]:
    """The questions to look at, and what cannot be drawn of them: no picture is worth the figures of hours."""
    drawn_at = nearest(settings.budgets, settings.example_budget)
    found, notes = [], []
    for sample in picked:
        try:
            found.append(_example(sample, views, source, selectors, drawn_at))
        except PageError as error:
            notes.append(f"question {sample.question_id} is not drawn: {error}")
    return found, notes


def _example(
    sample: Sample, views: PageViews, source: SignalSource, selectors: Sequence[Selector], budget: float
) -> Example:
    """What every selector keeps of a question, to look at."""
    view = views.of(sample)
    encoded = source.sample(view)
    tokens = token_budget(budget, encoded.n_tokens)
    kept = {selector.name: checked_select(selector, encoded, [tokens])[0].mask for selector in selectors}
    return make_example(view, measured_evidence(view), sample.answers, budget, kept)


def _facts(
    dataset: Path,
    settings: BenchmarkSettings,
    backbone: Backbone,
    run: Run | None,
    chosen: ChosenSelectors,
    asked: ChosenQuestions,
    views: PageViews,
    data: BenchmarkData,
    unreadable: int,
) -> dict[str, Any]:
    """What a reader of the figures must know beside them."""
    warnings = [asked.warning] if asked.warning else []
    seen_by = _of_model(backbone)
    plumbing = seen_by is not None and seen_by.token_dim < _LEAST_WIDTH
    if backbone.reads_words:
        warnings.append(
            "tokens are the embedded backbone's, words and ink: on a model's tokens methods may rank otherwise"
        )
    if plumbing:
        warnings.append("the model is too small to be a published one: these figures test the plumbing, no method")
    if len(data.devices) > 1:
        devices = ", ".join(f"{name} ({number:,} rows)" for name, number in sorted(data.devices.items()))
        warnings.append(f"seconds do not compare: rows were measured on {devices}")
    if unreadable:
        warnings.append(f"{unreadable:,} lines of {SAMPLES_FILE} cannot be read and were passed over")
    bare = len(views.without_words & {page.page_id for sample in data.samples for page in sample.pages})
    if bare and any("words" in selector.needs for selector in chosen.made.values()):
        warnings.append(f"{bare:,} pages have no words, which some selectors live on")
    warnings += [line for selector in chosen.made.values() for line in selector.warnings(data.samples, views.store)]
    return {
        "program": f"pinpoint-data {__version__}",
        "dataset": dataset.resolve().name,
        "split": settings.split or ("validation" if run is not None else "all"),
        "run": run.path.resolve().name if run is not None else None,
        "backbone": backbone.spec(),
        "plumbing": plumbing,
        "settings": {
            "budgets": list(settings.budgets),
            "seed": settings.seed,
            "limit": settings.limit,
            "sources": list(settings.sources) if settings.sources else None,
            "options": {name: _jsonable(own) for name, own in chosen.options.items() if own},
            "answers": settings.answers,
            "answer_budgets": list(settings.answer_budgets) if settings.answers else None,
            "max_new_tokens": settings.max_new_tokens if settings.answers else None,
            "example_budget": nearest(settings.budgets, settings.example_budget),
            "windows": asdict(views.spec),
            "model": seen_by.model.source.name if seen_by is not None else None,
        },
        "unavailable": dict(chosen.unavailable),
        "warnings": warnings,
    }


def _of_model(backbone: Backbone) -> VlmBackbone | None:
    if backbone.reads_words:
        return None  # and needs no import of transformers
    from training.backbones.vlm import VlmBackbone

    return backbone if isinstance(backbone, VlmBackbone) else None
