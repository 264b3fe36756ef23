"""Budget curves as SVG: a score against the share of tokens that is left, a line a selector.

The same drawing stands alone in a paper and inside the benchmark's page, where a script may show and hide its lines.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from pinpoint_data.atomic import write_text
from pinpoint_data.errors import UsageError, one_line
from training.benchmark.families import FAMILIES, GREY, family_of, first_shown
from training.evaluation.question_scores import share_name

METRICS: Mapping[str, str] = {
    "evidence_recall": "Evidence recall",
    "all_hit": "All boxes hit",
    "any_hit": "Any box hit",
    "precision": "Precision",
    "page_recall": "Page recall, questions of several pages",
    "layer_recall": "Evidence recall, mean over decoder layers",
}
AXES: Mapping[str, str] = {
    "budget": "Share of visual tokens kept",
    "layer_budget": "Share of visual tokens, mean over decoder layers",
}
PALETTE = ("#0062a8", "#c24a06", "#007a55", "#a63a93", "#8a5b00", "#16759f", "#7d1f4d", "#5f6d08")
"""After Okabe and Ito: apart for the common kinds of colour blindness; letters in it are legible on white."""
GREYS = {"controls": "#6b7280", "oracles": "#374151"}
_DASHES = ("2 3", "7 3", "7 3 2 3", "12 4", "1.5 2", "12 3 2 3 2 3")
_MARKERS = (
    "m-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0z",
    "m-3-3h6v6h-6z",
    "m0-4l4 7h-8z",
    "m0-4.4l4.4 4.4l-4.4 4.4l-4.4-4.4z",
)
"""Circle, square, triangle, diamond: paths around a point."""
WIDTH, HEIGHT = 980, 640
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 790, 18, 582
PLOT = {"left": _LEFT, "right": _RIGHT, "top": _TOP, "bottom": _BOTTOM, "label": 812}
"""Edges of the plot inside the drawing, and where labels begin, for the script that moves labels."""
_LABEL_X, LABEL_GAP, _LABEL_LETTERS = PLOT["label"], 15.0, 22
PLUMBING, WARNING = "plumbing, not results", "#a8201a"
"""What a drawing of a random model's choices says on itself: drawings get copied out of their report."""
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
INK, MUTED, RULE = "#1d2430", "#5b6575", "#e3e7ec"


@dataclass(frozen=True)
class LineStyle:
    """How a selector's line looks: coloured ones are told apart by colour and marker, grey ones by their dashes."""

    colour: str
    marker: str
    dash: str | None = None


@dataclass(frozen=True)
class Point:
    """A selector at one budget: which of the summary's budgets, where it stands on both axes, and the interval."""

    at: int
    x: float
    y: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class _Scale:
    """From values to places in the drawing."""

    x_most: float
    y_most: float

    def x(self, value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * value / self.x_most

    def y(self, value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * value / self.y_most


def save_curves(
    file: Path,
    summary: Mapping[str, Any],
    *,
    metric: str = "evidence_recall",
    axis: str = "budget",
    selectors: Sequence[str] | None = None,
) -> None:
    """Write budget curves as an SVG file for a paper.

    Args:
        file: Where to.
        summary: From `summarise_benchmark`.
        metric: One of `METRICS`.
        axis: One of `AXES`.
        selectors: Whose lines; by default the best of every family.

    Raises:
        UsageError: The summary has no such selector, or none of them has the metric.
    """
    chosen = first_shown(summary) if selectors is None else list(selectors)
    if unknown := [name for name in chosen if name not in summary["selectors"]]:
        raise UsageError(f"no curve of {unknown[0]!r}: the benchmark did not score it")
    drawing = curves_svg(summary, metric, axis, shown=chosen)
    if not drawing:
        raise UsageError(f"no selector has the score {metric!r} over {axis!r}")
    write_text(file, f'<?xml version="1.0" encoding="UTF-8"?>\n{drawing}\n')


def curves_svg(
    summary: Mapping[str, Any],
    metric: str,
    axis: str,
    *,
    shown: Collection[str],
    whole: bool = False,
) -> str:
    """One chart as an `svg` element, right without any style sheet or script around it.

    Args:
        summary: From `summarise_benchmark`.
        metric: One of `METRICS`.
        axis: One of `AXES`.
        shown: Selectors whose lines are visible.
        whole: Also put in, invisible, the lines of the others and every line's interval, for a script to show.

    Returns:
        The element, or "" where no selector has the metric.
    """
    names = list(summary["selectors"])
    points = {name: curve(summary, name, metric, axis) for name in names}
    drawn = [name for name in names if points[name] and (whole or name in shown)]
    if not drawn:
        return ""
    values = [p for name in names for p in points[name]]
    scale = _Scale(_x_most(summary, [p.x for p in values], axis), _y_most([p.high or p.y for p in values], metric))
    styles = line_styles(names, [name for name in first_shown(summary) if points[name]])
    visible = [name for name in drawn if name in shown]
    labels = dict(
        zip(visible, spread([scale.y(points[n][-1].y) for n in visible], LABEL_GAP, _TOP, _BOTTOM), strict=True)
    )
    title = f"{METRICS[metric]} against {AXES[axis][0].lower()}{AXES[axis][1:]}, {len(visible)} selectors"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="{FONT}" '
        f'font-size="13" data-metric="{metric}" data-axis="{axis}"><title>{escape(title)}</title>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *_axes(summary, scale, metric, axis),
    ]
    if summary.get("plumbing"):
        parts.append(f'<text x="{_LEFT + 10}" y="{_TOP + 22}" fill="{WARNING}" font-weight="700">{PLUMBING}</text>')
    # Grey lines first: a method is never hidden behind what it is held against.
    for name in sorted(drawn, key=lambda name: family_of(name) not in GREY):
        parts += _line(names.index(name), name, points[name], scale, styles[name], labels.get(name), whole)
    return "".join([*parts, "</svg>"])


def curve(summary: Mapping[str, Any], selector: str, metric: str, axis: str) -> list[Point]:
    """A selector's points, from the smallest budget on; a budget without the score is left out."""
    scores = summary["scores"][selector]
    found = []
    for at, budget in sorted(enumerate(summary["budgets"]), key=lambda place: place[1]):
        name = share_name(budget)
        score, place = scores.get(f"{metric}@{name}"), scores.get(f"{axis}@{name}")
        if score is not None and place is not None:
            found.append(Point(at, place["mean"], score["mean"], score["low"], score["high"]))
    return found


def line_styles(names: Sequence[str], first: Sequence[str]) -> dict[str, LineStyle]:
    """A look for every selector, no two alike among up to 32 methods and 6 of each grey family.

    Args:
        names: Of all selectors.
        first: Those that a figure shows first: the methods among them have the palette's colours to themselves.
    """
    styles = {}
    for family, colour in GREYS.items():
        for index, name in enumerate(name for name in names if family_of(name) == family):
            styles[name] = LineStyle(colour, _MARKERS[0], _DASHES[index % len(_DASHES)])
    ordered = [name for family in FAMILIES for name in names if family_of(name) == family and name not in styles]
    for index, name in enumerate(sorted(ordered, key=lambda name: name not in first)):
        round_, hue = divmod(index, len(PALETTE))
        styles[name] = LineStyle(PALETTE[hue], _MARKERS[round_ % len(_MARKERS)])
    return styles


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near the wanted ones, in the same order, `gap` apart, within [low, high].

    The least sum of squared moves, by pooling neighbours that collide. Where they do not fit, they are closer.
    """
    if not wanted:
        return []
    order = np.argsort(wanted, kind="stable")
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    # With the gaps taken out, "apart" means "not descending".
    pools: list[list[float]] = []
    for place, index in enumerate(order):
        pools.append([wanted[index] - gap * place])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    flat = np.array([np.mean(pool) for pool in pools for _ in pool])
    flat = np.clip(flat, low, high - gap * (len(wanted) - 1)) + gap * np.arange(len(wanted))
    places = np.empty(len(wanted))
    places[order] = flat
    return [float(place) for place in places]


def clipped(text: str, letters: int) -> str:
    """`text` on one line, invisible characters made visible, cut at a number of letters."""
    line = one_line(text)
    return line if len(line) <= letters else line[: letters - 1] + "…"


def key_svg(style: LineStyle) -> str:
    """A short piece of a line with its marker, for a legend."""
    dash = f' stroke-dasharray="{style.dash}"' if style.dash else ""
    return (
        f'<svg class="key" viewBox="0 0 34 12" width="34" height="12" aria-hidden="true">'
        f'<path d="M1 6H33" stroke="{style.colour}" stroke-width="2"{dash}/>'
        f'<path d="{dot(17, 6, style)}" fill="{style.colour}"/></svg>'
    )


def _x_most(summary: Mapping[str, Any], values: Sequence[float], axis: str) -> float:
    asked = max(summary["budgets"]) if axis == "budget" else 0.0
    return min(1.05, max(*values, asked) * 1.02)


def _y_most(values: Sequence[float], metric: str) -> float:
    """Shares of questions and of evidence go to 1; precision, a few percent, to the next step above its largest."""
    if metric != "precision":
        return 1.0
    return next((step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5) if step >= max(values)), 1.0)


def _axes(summary: Mapping[str, Any], scale: _Scale, metric: str, axis: str) -> list[str]:
    parts = [f'<g fill="{MUTED}" stroke="none">']
    for step in range(6):
        value = scale.y_most * step / 5
        y = number(scale.y(value))
        parts.append(f'<path d="M{_LEFT} {y}H{_RIGHT}" stroke="{MUTED if step == 0 else RULE}"/>')
        parts.append(f'<text x="{_LEFT - 9}" y="{y}" dy=".35em" text-anchor="end">{share(value)}</text>')
    ticks = summary["budgets"] if axis == "budget" else [tenth / 10 for tenth in range(11)]
    last = -np.inf
    for tick in sorted(tick for tick in ticks if tick <= scale.x_most):
        x = scale.x(tick)
        parts.append(f'<path d="M{number(x)} {_TOP}V{_BOTTOM}" stroke="{RULE}"/>')
        if x - last >= 30:
            parts.append(f'<text x="{number(x)}" y="{_BOTTOM + 20}" text-anchor="middle">{share(tick)}</text>')
            last = x
    middle = number((_LEFT + _RIGHT) / 2)
    parts.append(f'</g><g fill="{INK}"><text x="{middle}" y="{HEIGHT - 14}" text-anchor="middle">{AXES[axis]}</text>')
    middle = number((_TOP + _BOTTOM) / 2)
    where = f'x="14" y="{middle}" transform="rotate(-90 14 {middle})"'
    return [*parts, f'<text {where} text-anchor="middle">{METRICS[metric]}</text></g>']


def _line(
    index: int, name: str, points: Sequence[Point], scale: _Scale, style: LineStyle, label: float | None, whole: bool
) -> list[str]:
    places = [(scale.x(p.x), scale.y(p.y)) for p in points]
    dash = f' stroke-dasharray="{style.dash}"' if style.dash else ""
    hidden = ' display="none"' if label is None else ""
    at = f' data-line="{index}" data-at="{" ".join(str(p.at) for p in points)}"' if whole else ""
    parts = [f'<g class="line"{at}{hidden} fill="none" stroke="{style.colour}">']
    if whole:
        parts.append(_band(points, scale, style))
    parts.append(f'<path class="stroke" d="M{_polyline(places)}" stroke-width="2" stroke-linejoin="round"{dash}/>')
    dots = "".join(dot(x, y, style) for x, y in places)
    parts.append(f'<path class="dots" d="{dots}" fill="{style.colour}" stroke="none"/>')
    (x, y), text_y = places[-1], places[-1][1] if label is None else label
    leader = _polyline([(x + 5, y), (_LABEL_X - 4, text_y)])
    parts.append(f'<path class="leader" d="M{leader}" stroke-opacity=".4"/>')
    text = escape(clipped(name, _LABEL_LETTERS))
    place = f'x="{_LABEL_X}" y="{number(text_y)}" dy=".35em"'
    return [*parts, f'<text class="label" {place} fill="{style.colour}" stroke="none">{text}</text></g>']


def _band(points: Sequence[Point], scale: _Scale, style: LineStyle) -> str:
    """The intervals along a line, invisible until someone asks for them."""
    upper = [(scale.x(p.x), scale.y(p.high)) for p in points if p.high is not None]
    lower = [(scale.x(p.x), scale.y(p.low)) for p in points if p.low is not None]
    if not upper:
        return ""
    outline = _polyline([*upper, *reversed(lower)])
    return f'<path class="band" d="M{outline}Z" fill="{style.colour}" fill-opacity=".15" stroke="none" opacity="0"/>'


def dot(x: float, y: float, style: LineStyle) -> str:
    """The path of a style's marker around a point."""
    return f"M{number(x)} {number(y)}{style.marker}"


def _polyline(places: Sequence[tuple[float, float]]) -> str:
    return "L".join(f"{number(x)} {number(y)}" for x, y in places)


def number(value: float) -> str:
    """A length in the drawing, to a tenth of its unit."""
    return f"{value:.1f}".removesuffix(".0")


def share(value: float) -> str:
    """`.25`, `0`, `1`; as many digits as it takes."""
    return f"{value:.3f}".rstrip("0").rstrip(".").removeprefix("0") or "0"
