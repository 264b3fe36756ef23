"""Answers side by side, for people."""

from __future__ import annotations

from collections.abc import Mapping

from training.answering.base import Answer

STAGES = ("encode", "select", "refine", "prefill", "decode")
_REGIONS_SHOWN = 12


def answers_text(answers: Mapping[str, Answer], numbers: tuple[int, ...]) -> str:
    """The answers by name, what they cost beside the unchanged model, and the regions of the last.

    Args:
        answers: At least one, the unchanged model's under `vanilla`.
        numbers: How people call the pages.
    """
    width = max(map(len, (*answers, "vanilla")))
    lines = [
        answer.text if len(answers) == 1 else f"{name:<{width}}  {answer.text}" for name, answer in answers.items()
    ]
    *_, last = answers.values()
    lines += ["", f"{'':<{width}}  {'visual tokens':>16}  {'TFLOPs':>16}  seconds"]
    if "vanilla" not in answers:
        lines.append(
            f"{'vanilla':<{width}}  {last.vanilla_tokens:>8,} {'':>7}  {_tera(last.vanilla_flops)} {'':>7}  not run"
        )
    lines += [f"{name:<{width}}  {_costs(answer)}" for name, answer in answers.items()]
    if "vanilla" in answers and len(answers) == 1:
        return "\n".join(lines)
    lines += ["", f"{last.budget_used:.1%} of the page's tokens selected; read, in this order:"]
    for region in last.regions[:_REGIONS_SHOWN]:
        page = f"page {numbers[region.page_index]:>3}  " if len(numbers) > 1 else ""
        corners = "  ".join(f"{at:7.1f}" for at in region.xyxy)
        lines.append(f"  {page}x0 y0 x1 y1  {corners}  {region.tokens:>6,} tokens")
    if len(last.regions) > _REGIONS_SHOWN:
        lines.append(f"  ... and {len(last.regions) - _REGIONS_SHOWN:,} more")
    return "\n".join(lines)


def _costs(answer: Answer) -> str:
    flops = sum(answer.flops.values())
    seconds = ", ".join(f"{stage} {answer.seconds[stage]:.3f}" for stage in STAGES if stage in answer.seconds)
    return (
        f"{answer.visual_tokens:>8,} {_share(answer.visual_tokens, answer.vanilla_tokens)}  "
        f"{_tera(flops)} {_share(flops, answer.vanilla_flops)}  {sum(answer.seconds.values()):.3f}  ({seconds})"
    )


def _tera(flops: float) -> str:
    return f"{flops / 1e12:>8.2f}" if flops >= 1e10 else f"{flops / 1e12:>8.2g}"


def _share(part: float, whole: float) -> str:
    return f"({part / whole:>5.0%})" if whole else " " * 7
