"""What evidence recall says about answers: a point a selector and budget, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from training.benchmark.curves import (
    FONT,
    INK,
    MUTED,
    PLUMBING,
    RULE,
    WARNING,
    clipped,
    dot,
    line_styles,
    number,
    share,
)
from training.evaluation.tables import short_number

WIDTH, HEIGHT = 620, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 604, 14, 368


def scatter_svg(
    correlation: Mapping[str, Any], names: Sequence[str], first: Sequence[str], *, plumbing: bool = False
) -> str:
    """Change of ANLS against evidence recall, in the colours and markers of the curves.

    Args:
        correlation: Of a benchmark's summary.
        names: Its selectors.
        first: Those that a figure shows first.
        plumbing: Whether to say on it that a random model answered.

    Returns:
        An `svg` element; "" where no point has both.
    """
    points = [p for p in correlation["points"] if p["recall"] is not None and p["anls_change"] is not None]
    if not points:
        return ""
    changes: list[float] = [p["anls_change"] for p in points]
    low, high = min(*changes, -0.05), max(*changes, 0.05)
    styles = line_styles(names, first)

    def x(recall: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * recall

    def y(change: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (change - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="{FONT}" '
        f'font-size="13"><title>Change of ANLS against evidence recall, {len(points)} points</title>',
        f'<g fill="{MUTED}">',
    ]
    for fifth in range(6):
        at = number(x(fifth / 5))
        parts.append(f'<path d="M{at} {_TOP}V{_BOTTOM}" stroke="{RULE}"/>')
        parts.append(f'<text x="{at}" y="{_BOTTOM + 20}" text-anchor="middle">{share(fifth / 5)}</text>')
    for change in (low, 0.0, high):
        at = number(y(change))
        parts.append(f'<path d="M{_LEFT} {at}H{_RIGHT}" stroke="{RULE if change else MUTED}"/>')
        parts.append(f'<text x="{_LEFT - 9}" y="{at}" dy=".35em" text-anchor="end">{short_number(change, 2)}</text>')
    parts.append("</g>")
    if plumbing:
        parts.append(f'<text x="{_LEFT + 10}" y="{_TOP + 22}" fill="{WARNING}" font-weight="700">{PLUMBING}</text>')
    for point in points:
        style = styles[point["selector"]]
        said = f"{clipped(point['selector'], 40)} at {point['budget']:.2f}: recall {short_number(point['recall'], 3)}"
        said += f", ANLS {short_number(point['anls_change'], 3)}"
        shape = f'd="{dot(x(point["recall"]), y(point["anls_change"]), style)}" fill="{style.colour}"'
        parts.append(f'<path {shape} fill-opacity=".8"><title>{escape(said)}</title></path>')
    middle, centre = number((_LEFT + _RIGHT) / 2), number((_TOP + _BOTTOM) / 2)
    parts.append(f'<g fill="{INK}"><text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">Evidence recall</text>')
    where = f'x="16" y="{centre}" transform="rotate(-90 16 {centre})"'
    return "".join([*parts, f'<text {where} text-anchor="middle">ANLS minus that of all tokens</text></g></svg>'])
