"""`pinpoint flops`: the operations of selecting, refining and answering, part by part, beside vanilla."""

from __future__ import annotations

import re

import click

from pinpoint_data.console import emit, json_option
from pinpoint_data.errors import UsageError

_MODELS = "llava-next-7b, llava-next-mistral-7b, llava-next-13b, qwen2-vl-2b, qwen2-vl-7b, qwen2.5-vl-7b, qwen3-vl-8b"


@click.command()
@click.option("--model", required=True, help=f"{_MODELS}, or a folder with config.json (no weights are read).")
@click.option("--page", "sizes", multiple=True, metavar="WxH", help="Pixels of a page; may be repeated.")
@click.option(
    "--preset",
    type=click.Choice(["infovqa", "spdocvqa", "mpdocvqa"]),
    help="Instead of --page: a page of this benchmark's usual size.",
)
@click.option(
    "--coverage",
    "coverages",
    multiple=True,
    metavar="SHARE[,SHARE...]",
    help="Share of the tokens that is selected; may be repeated. Default: 0.6,0.25,0.1.",
)
@click.option("--refine/--no-refine", default=True, show_default=True, help="Encode the selected regions anew.")
@click.option(
    "--regions", type=click.IntRange(min=1), default=1, show_default=True, help="Separate crops that a page comes to."
)
@click.option("--global-view", is_flag=True, help="Put a view of the whole page in front of its regions.")
@click.option("--question-tokens", type=click.IntRange(min=1), default=16, show_default=True)
@click.option(
    "--new-tokens",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Of the answer; the first comes with the prefill.",
)
@click.option(
    "--max-pixels", type=click.IntRange(min=1), help="Most pixels of a page (Qwen). Default: the checkpoint's own."
)
@click.option(
    "--select-pixels",
    type=click.IntRange(min=1),
    help="Most pixels of the page that regions are selected on (Qwen), where that is fewer: a run trained with it.",
)
@click.option("--queries", type=click.IntRange(min=1), help="K of the aligner. Default: that of the model's recipe.")
@click.option("--dim", type=click.IntRange(min=1), help="d of the aligner. Default: that of the model's recipe.")
@json_option
def flops(
    model: str,
    sizes: tuple[str, ...],
    preset: str | None,
    coverages: tuple[str, ...],
    refine: bool,
    regions: int,
    global_view: bool,
    question_tokens: int,
    new_tokens: int,
    max_pixels: int | None,
    select_pixels: int | None,
    queries: int | None,
    dim: int | None,
    as_json: bool,
) -> None:
    """Count the operations of answering from selected regions, beside those of reading everything.

    Every component stands on its own line: both passes of the vision tower, projector, aligner, all layers of the
    language model, one row of its LM head. One multiply-add is 2 FLOPs. Needs no weights and loads none.

    \b
    Examples:
      pinpoint flops --model llava-next-7b --preset spdocvqa
      pinpoint flops --model qwen2-vl-7b --page 1240x1754 --page 1240x1754 --coverage 0.6,0.25 --new-tokens 16
    """
    if bool(sizes) == (preset is not None):
        raise UsageError("give --page or --preset, and only one of them")
    from training.config import load_config, recipe_path
    from training.flops.literature import PRESETS
    from training.flops.models import find_shape
    from training.flops.pages import Reading, answer_regions, answer_whole, page_shape
    from training.flops.parts import AlignerShape
    from training.flops.report import Comparison, comparison_text

    if select_pixels is not None and not refine:
        raise UsageError("--select-pixels needs refinement: its tokens are too coarse to be read")
    shares = _shares(coverages)
    pages_px = PRESETS[preset] if preset else tuple(_size(text) for text in sizes)
    found = find_shape(model)
    changes = {"aligner.queries": queries, "aligner.dim": dim}
    recipe = "llava-next" if found.shape.tile else "qwen2-vl"
    settings = load_config(
        recipe_path(recipe), [f"{name}={value}" for name, value in changes.items() if value is not None]
    )
    width = found.shape.decoder.width
    aligner = AlignerShape.of(settings, token_dim=width, question_dim=width)
    pixels = _limits(found.pixels, max_pixels)
    pages = tuple(page_shape(found.shape, *size, pixels) for size in pages_px)
    looked = pages
    if select_pixels is not None:
        looked = tuple(page_shape(found.shape, *size, _limits(pixels, select_pixels)) for size in pages_px)
    reading = Reading(question_tokens, new_tokens, refine, regions, global_view)
    whole = answer_whole(found.shape, pages, reading)
    parts = tuple(answer_regions(found.shape, pages, reading, aligner, share, looked) for share in shares)
    comparison = Comparison(found, pages, looked, reading, aligner, whole, parts)
    emit(comparison.to_json(), "" if as_json else comparison_text(comparison), as_json=as_json)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text.strip().lower())
    if match is None:
        raise UsageError(f"--page must be WIDTHxHEIGHT in pixels, such as 1240x1754, got {text!r}")
    return int(match[1]), int(match[2])


def _shares(texts: tuple[str, ...]) -> list[float]:
    shares = []
    for text in ",".join(texts or ("0.6,0.25,0.1",)).split(","):
        try:
            share = float(text)
        except ValueError:
            share = 0.0
        if not 0 < share <= 1:
            raise UsageError(f"--coverage must be a share in (0, 1], got {text!r}")
        shares.append(share)
    return list(dict.fromkeys(shares))


def _limits(own: tuple[int, int] | None, most: int | None) -> tuple[int, int] | None:
    if most is None:
        return own
    if own is None:
        raise UsageError("limits in pixels are for Qwen models; LLaVA-NeXT resizes pages into fixed canvases")
    return min(own[0], most), most
