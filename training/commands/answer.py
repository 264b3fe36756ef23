"""`pinpoint answer`: a question answered from the regions of a page or a document that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from pinpoint_data.console import emit, json_option
from pinpoint_data.errors import UsageError
from training.commands.opening import refuse_given

if TYPE_CHECKING:
    from training.answering import Answer
    from training.checkpoint import Run
    from training.pages.lone import LonePage
    from training.selection.select import Selection
    from training.vlm import VisionLanguageModel

_SHARE = click.FloatRange(min=0, max=1, min_open=True)
_OF_SELECTION = (
    *("coverage", "budget", "refine", "regions", "global_view", "global_tokens", "positions", "zoom"),
    *("max_tokens_region", "max_waste", "words", "engine"),
)


@click.command()
@click.argument("given", nargs=-1, metavar="[RUN] IMAGE|PDF QUESTION")
@click.option("--model", help="Model that answers: a folder or a hub name. Default: that of the run's backbone.")
@click.option("--revision", help="Branch, tag or commit of a --model on the hub.")
@click.option("--dtype", type=click.Choice(["bfloat16", "float16", "float32"]), help="Default: the run's, or bfloat16.")
@click.option("--device", help="Where to compute: cpu, cuda, cuda:1. Default: a GPU where there is one.")
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    help="The most pixels the answering model encodes a page with (Qwen-VL). Default: its own limit, whatever the "
    "limit of the run.",
)
@click.option(
    "--page", "numbers", type=click.IntRange(min=1), multiple=True, help="Page of a PDF, from 1; may be repeated."
)
@click.option("--coverage", type=_SHARE, help="Select windows until this share of all tokens is covered. Default: 0.6.")
@click.option("--budget", type=_SHARE, help="Instead: select whole windows up to this share of all tokens.")
@click.option(
    "--refine/--no-refine", default=True, help="Encode the selected regions anew, or read tokens as they are."
)
@click.option(
    "--regions",
    type=click.Choice(["components", "windows"]),
    default="components",
    show_default=True,
    help="Crop connected regions, or each window alone.",
)
@click.option("--global-view", is_flag=True, help="Show the whole page too, at low resolution.")
@click.option(
    "--global-tokens",
    type=click.IntRange(min=1),
    default=144,
    show_default=True,
    help="The most tokens of that, for Qwen-VL; LLaVA-NeXT's are 576.",
)
@click.option(
    "--positions",
    type=click.Choice(["packed", "original"]),
    help="Positions of crops: as images of their own, or as on the full page. Default: packed for LLaVA-NeXT.",
)
@click.option(
    "--zoom", type=float, default=1.0, show_default=True, help="How much finer than the page, along each side."
)
@click.option("--max-tokens-region", type=click.IntRange(min=1), help="The most tokens of one crop.")
@click.option(
    "--max-waste",
    type=click.FloatRange(min=0, max=1, max_open=True),
    default=0.15,
    show_default=True,
    help="Share of a crop that may lie outside the selection: more for fewer crops.",
)
@click.option("--vanilla", is_flag=True, help="Answer from all tokens too; without RUN, from all tokens alone.")
@click.option("--max-new-tokens", type=click.IntRange(min=1), default=32, show_default=True)
@click.option(
    "--words",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="OCR file of the page, for a run that reads words.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "rapidocr"]),
    default="auto",
    show_default=True,
    help="For a run that reads words, without --words.",
)
@click.option("--dpi", type=click.FloatRange(36, 600), default=144.0, show_default=True, help="For PDF pages.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for answer.json and a picture a page."
)
@json_option
def answer(
    given: tuple[str, ...],
    model: str | None,
    revision: str | None,
    dtype: str | None,
    device: str | None,
    max_pixels: int | None,
    numbers: tuple[int, ...],
    coverage: float | None,
    budget: float | None,
    vanilla: bool,
    max_new_tokens: int,
    words: Path | None,
    engine: Literal["auto", "rapidocr"],
    dpi: float,
    out: Path | None,
    as_json: bool,
    **refinement: Any,
) -> None:
    """Answer QUESTION from the regions of IMAGE or PDF that it needs.

    RUN selects regions (all pages of a PDF compete, unless --page names some), the model answers from them alone. They
    may be the same model, whose encoding of a page then serves both. Printed are the answer, and its visual tokens,
    operations and seconds beside those of the unchanged model (one run each; the first on a GPU is slower).

    \b
    Examples:
      pinpoint answer runs/llava page.png "What was the total in 2019?"
      pinpoint answer runs/ocr report.pdf "Which region grew most?" --model Qwen/Qwen2-VL-7B-Instruct --coverage 0.25
      pinpoint answer page.png "What was the total in 2019?" --model models/llava --vanilla
    """
    run, file, question = _arguments(given, vanilla)
    if run is None:
        refuse_given(click.get_current_context(), _OF_SELECTION, "without a RUN that selects")
    if budget is not None and coverage is not None:
        raise UsageError("give --budget or --coverage, not both")
    from training.answering import answering_model, load_run_for
    from training.answering.report import answers_text
    from training.pages.lone import read_pages
    from training.refinement import Refinement

    settings = {"budget": budget, "coverage": coverage, "refinement": Refinement(**refinement)}
    loaded = load_run_for(run, model, device) if run is not None else None
    opened = answering_model(loaded, model, revision=revision, dtype=dtype, device=device, max_pixels=max_pixels)
    reads_words = loaded is not None and loaded.backbone.reads_words
    if words is not None and not reads_words:
        raise UsageError("nothing here reads words; leave out --words", file=words)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # one that cannot be made is refused before the work, not after it
    pages = read_pages(file, numbers, words=words, engine=engine, dpi=dpi, with_words=reads_words)
    answers, selection = _ask(loaded, opened, question, pages, settings, max_new_tokens, vanilla)
    _warn_of_length(opened, answers)
    shown = tuple(page.number for page in pages)
    facts = {
        "file": file.name,
        "run": run.resolve().name if run is not None else None,
        "model": opened.source.name,
        "question": question,
        "answers": {name: found.to_json() for name, found in answers.items()},
        "selection": selection.to_json() if selection is not None else None,
    }
    files = _write(facts, selection, out) if out is not None else []
    written = [f"written {path}" for path in files]
    text = "\n".join([answers_text(answers, shown), *written])
    emit(facts | {"files": [str(path) for path in files]}, text, as_json=as_json)


def _arguments(given: tuple[str, ...], vanilla: bool) -> tuple[Path | None, Path, str]:
    """RUN, the file and the question. Only the unchanged model needs no RUN."""
    if len(given) == 3:
        run: Path | None = Path(given[0])
    elif len(given) == 2 and vanilla:
        run = None
    else:
        raise UsageError(
            f"expected RUN, IMAGE or PDF, and QUESTION, got {len(given)} arguments",
            remedy="put the question in quotes; RUN may be left out with --vanilla",
        )
    # Bytes of the command line that are no text arrive as lone surrogates, which no file can hold.
    question = given[-1].encode("utf-8", "replace").decode("utf-8")
    if not question.strip():
        raise UsageError("the question is empty")
    return run, Path(given[-2]), question


def _ask(
    run: Run | None,
    model: VisionLanguageModel,
    question: str,
    pages: list[LonePage],
    settings: dict[str, Any],
    max_new_tokens: int,
    vanilla: bool,
) -> tuple[dict[str, Answer], Selection | None]:
    """Answers by the names of their answerers, and what was selected."""
    from training.answering.encoded import PageEncoder
    from training.answering.pinpoint import PinpointAnswerer
    from training.answering.scoring import StageOne
    from training.answering.vanilla import VanillaAnswerer

    inputs, encoder = [page.page for page in pages], PageEncoder(model)
    answers: dict[str, Answer] = {}
    selection = None
    if vanilla:
        whole = VanillaAnswerer(model, max_new_tokens=max_new_tokens, encoder=encoder)
        answers[whole.name] = whole.answer(question, inputs)
    if run is not None:
        pinpoint = PinpointAnswerer(
            run, model, max_new_tokens=max_new_tokens, stage_one=StageOne(run, encoder), **settings
        )
        numbers = [page.number for page in pages]
        answers[pinpoint.name], selection = pinpoint.answer_selected(question, inputs, numbers=numbers)
    return answers, selection


def _warn_of_length(model: VisionLanguageModel, answers: dict[str, Answer]) -> None:
    """Beyond the positions it was trained on a model writes nonsense and says nothing."""
    most = getattr(model.config.text_config, "max_position_embeddings", None)
    for name, found in answers.items():
        if most is not None and found.visual_tokens > most:
            click.echo(
                f"pinpoint: warning: {name} read {found.visual_tokens:,} visual tokens, the model was made for "
                f"{most:,}: do not trust its answer",
                err=True,
            )


def _write(payload: dict[str, Any], selection: Selection | None, out: Path) -> list[Path]:
    from pinpoint_data.atomic import write_json

    # Pictures of an earlier question over other pages would be taken for this one's.
    for earlier in (out / "selection.png", *out.glob("selection-p*.png")):
        earlier.unlink(missing_ok=True)
    write_json(out / "answer.json", payload)
    if selection is None:
        return [out / "answer.json"]
    from training.rendering.pictures import save_pictures

    return [out / "answer.json", *save_pictures(selection, out)]
