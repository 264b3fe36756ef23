"""Answers side by side, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pinpoint_data.errors import one_line
from training.answering.base import Answer

_REGIONS_SHOWN = 12
_UNITS = ((1e12, "TFLOPs"), (1e9, "GFLOPs"), (1e6, "MFLOPs"))


def answers_text(answers: Mapping[str, Answer], numbers: Sequence[int]) -> str:
    """The answers by name, what they cost beside the unchanged model, and the regions of the last.

    Args:
        answers: At least one, the unchanged model's under `vanilla`.
        numbers: How people call the pages.
    """
    width = max(map(len, (*answers, "vanilla")))
    *_, last = answers.values()
    lines = [f"{name:<{width}}  {one_line(answer.text)}" for name, answer in answers.items()]
    if len(answers) == 1:
        lines = [one_line(last.text)]
    unit, name_of_unit = next(((u, n) for u, n in _UNITS if last.vanilla_flops >= u), _UNITS[-1])
    lines += ["", f"{'':<{width}}  {'visual tokens':>15}  {name_of_unit:>15}  seconds"]
    if "vanilla" not in answers:
        whole = f"{last.vanilla_tokens:>8,}{'':7}  {last.vanilla_flops / unit:>8.2f}{'':7}"
        lines.append(f"{'vanilla':<{width}}  {whole}  not run (--vanilla)")
    lines += [f"{name:<{width}}  {_costs(answer, unit)}" for name, answer in answers.items()]
    return "\n".join(lines + (_regions(last, numbers) if list(answers) != ["vanilla"] else []))


def _costs(answer: Answer, unit: float) -> str:
    flops = sum(answer.flops.values())
    stages = " + ".join(f"{stage} {seconds:.3f}" for stage, seconds in answer.seconds.items())
    return (
        f"{answer.visual_tokens:>8,} {_share(answer.visual_tokens, answer.vanilla_tokens)}  "
        f"{flops / unit:>8.2f} {_share(flops, answer.vanilla_flops)}  {sum(answer.seconds.values()):.3f} = {stages}"
    )


def _share(part: float, whole: float) -> str:
    return f"{part / whole:>6.1%}"


def _regions(answer: Answer, numbers: Sequence[int]) -> list[str]:
    pages = "the page's" if len(numbers) == 1 else f"the {len(numbers)} pages'"
    lines = ["", f"selected {answer.budget_used:.1%} of {pages} tokens; shown, in this order:"]
    for region in answer.regions[:_REGIONS_SHOWN]:
        page = f"page {numbers[region.page_index]:>3}  " if len(numbers) > 1 else ""
        corners = "  ".join(f"{at:7.1f}" for at in region.xyxy)
        lines.append(f"  {page}x0 y0 x1 y1  {corners}  {region.tokens:>6,} tokens")
    if len(answer.regions) > _REGIONS_SHOWN:
        lines.append(f"  ... and {len(answer.regions) - _REGIONS_SHOWN:,} more")
    return lines
