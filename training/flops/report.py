"""Counts as tables of at most 100 columns, and as JSON."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.flops.literature import BENCHMARKS, PUBLISHED_QWEN_RATIO, published_ratios
from training.flops.models import CountedModel
from training.flops.pages import TEMPLATE_TOKENS, Answered, PageShape, Reading
from training.flops.parts import AlignerShape

WIDTH = 100
_COVERAGES_A_TABLE = 4

_UNITS = {"MFLOPs": 1e6, "GFLOPs": 1e9, "TFLOPs": 1e12, "PFLOPs": 1e15}

_LABELS = {
    "patch_embedding": "patch embedding",
    "linear": "layers, matrices",
    "attention": "layers, attention",
    "projector": "projector",
    "projection": "aligner MLP of the page",
    "logits": "logits of the queries",
    "pooling": "pooling of the windows",
    "cosines": "cosines",
    "question": "the question's side",
    "lm_head": "LM head",
}


@dataclass(frozen=True)
class Comparison:
    """Ways to answer one question over some pages.

    Attributes:
        model: What is counted.
        pages: As they are encoded whole.
        looked: As stage one encodes them: the same, or with fewer pixels.
        reading: Settings.
        aligner: Sizes.
        whole: Vanilla.
        parts: One for each coverage.
    """

    model: CountedModel
    pages: tuple[PageShape, ...]
    looked: tuple[PageShape, ...]
    reading: Reading
    aligner: AlignerShape
    whole: Answered
    parts: tuple[Answered, ...]

    def ratio(self, answered: Answered) -> float:
        """FLOPs over those of vanilla."""
        return answered.flops.total / self.whole.flops.total

    def prefill_ratio(self, answered: Answered) -> float:
        """The same of the prefill alone, as if towers, aligner and decoding were free."""
        return answered.flops.stages()["prefill"] / self.whole.flops.stages()["prefill"]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready account; FLOPs are whole numbers."""
        columns = [
            {
                "coverage": answered.coverage,
                "visual_tokens": answered.visual_tokens,
                "flops": dict(answered.flops),
                "total": answered.flops.total,
                "ratio": self.ratio(answered),
                "prefill_ratio": self.prefill_ratio(answered),
            }
            for answered in (self.whole, *self.parts)
        ]
        return {
            "schema": "pinpoint-flops",
            "version": 1,
            "model": self.model.name,
            "checkpoint": self.model.checkpoint,
            "pages": [asdict(page) | {"tokens": page.tokens} for page in self.pages],
            "selected_on": [asdict(page) | {"tokens": page.tokens} for page in self.looked],
            "reading": asdict(self.reading) | {"text_tokens": self.reading.text_tokens},
            "aligner": asdict(self.aligner),
            "vanilla": columns[0],
            "selected": columns[1:],
            "published": {"llava-next-7b": published_ratios(), "qwen2-vl-7b": {"PinPoint": PUBLISHED_QWEN_RATIO}},
        }


def comparison_text(found: Comparison) -> str:
    """Head, the counts, and what papers report; plain text."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, legacy_windows=False, highlight=False)
    for line in _head(found):
        console.print(escape(line))
    for first in range(0, len(found.parts), _COVERAGES_A_TABLE):
        console.print(_counts(found, found.parts[first : first + _COVERAGES_A_TABLE]))
    console.print("FLOPs over vanilla as papers report them for LLaVA-NeXT-7B (PinPoint: r = 0.60);")
    console.print("what they counted is not published, so compare with care")
    console.print(_published())
    console.print(f"PinPoint on Qwen2-VL-7B, benchmark not named: {PUBLISHED_QWEN_RATIO:.1%}")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


def _head(found: Comparison) -> list[str]:
    reading, aligner, windows = found.reading, found.aligner, found.aligner.windows
    lines = [f"{found.model.name} ({found.model.checkpoint})"]
    for page in found.pages:
        parts = [f"grid {page.rows} x {page.cols}"]
        parts += [f"view {page.view_tokens}"] if page.view_tokens else []
        parts += [f"row ends {page.newlines}"] if page.newlines else []
        encoded = f"{len(page.patches)} tiles" if found.model.shape.tile else f"{_patches(page):,} patches"
        lines.append(f"page {page.width} x {page.height}: {encoded}, {page.tokens:,} tokens ({', '.join(parts)})")
    if found.looked != found.pages:
        tokens = ", ".join(f"{page.tokens:,} (grid {page.rows} x {page.cols})" for page in found.looked)
        lines.append(f"selected on fewer pixels: {tokens} tokens")
    lines.append(
        f"text: question {reading.question_tokens} tokens, prompt around it {TEMPLATE_TOKENS}; "
        f"answer {reading.new_tokens} token{'s' if reading.new_tokens > 1 else ''}"
    )
    lines.append(
        f"aligner: K {aligner.queries}, d {aligner.width}, inner {aligner.hidden}; "
        f"windows {windows.width} x {windows.height}, stride {windows.stride}"
    )
    regions = f"{reading.regions} region{'s' if reading.regions > 1 else ''} a page"
    stage_two = f"{regions}, encoded anew" if reading.refine else "tokens of stage one are read again"
    lines.append(f"selection: {stage_two}{', view of the whole in front' if reading.global_view else ''}")
    return lines


def _patches(page: PageShape) -> int:
    return sum(rows * cols for rows, cols in page.patches)


def _counts(found: Comparison, parts: Sequence[Answered]) -> Table:
    columns = (found.whole, *parts)
    most = max(column.flops.total for column in columns)
    # Vanilla and four coverages of up to 999,999.9 fit the width.
    unit, scale = next(((unit, scale) for unit, scale in _UNITS.items() if most < 1e6 * scale), ("PFLOPs", 1e15))
    table = _table(unit, ["vanilla", *(f"r = {part.coverage:g}" for part in parts)])
    names = list(dict.fromkeys(name for column in reversed(columns) for name in column.flops))
    for name in names:
        stage, _, part = name.partition(".")
        cells = [f"{column.flops[name] / scale:,.1f}" if name in column.flops else "-" for column in columns]
        table.add_row(f"{stage:<8}{_LABELS[part]}", *cells)
    table.add_section()
    table.add_row("total", *(f"{column.flops.total / scale:,.1f}" for column in columns))
    table.add_row("over vanilla", *(f"{found.ratio(column):.1%}" for column in columns))
    table.add_row("prefill alone, over vanilla", *(f"{found.prefill_ratio(column):.1%}" for column in columns))
    table.add_row("visual tokens read", *(f"{column.visual_tokens:,}" for column in columns))
    return table


def _published() -> Table:
    table = _table("", BENCHMARKS)
    for method, ratios in published_ratios().items():
        table.add_row(method, *(f"{ratios[name]:.1%}" for name in BENCHMARKS))
    return table


def _table(first: str, columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, min_width=32, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", min_width=9)
    return table
