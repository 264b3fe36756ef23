"""`pinpoint select`: the regions of a page or a document that a question needs, as boxes and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from pinpoint_data.console import emit, json_option
from pinpoint_data.errors import UsageError
from training.commands.opening import device_option, model_option

if TYPE_CHECKING:
    from training.selection.select import Selection
    from training.window_scorers import PinpointScorer, RankerScorer

_SHARE = click.FloatRange(min=0, max=1, min_open=True)
_BOXES_SHOWN = 20


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="IMAGE|PDF")
@click.argument("question")
@click.option(
    "--run", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Use the aligner of this trained run."
)
@click.option(
    "--ranker", metavar="NAME|PATH", help="Use another ranker than the shipped one. `pinpoint ranker info` lists them."
)
@click.option(
    "--page", "numbers", type=click.IntRange(min=1), multiple=True, help="Page of a PDF, from 1; may be repeated."
)
@click.option("--budget", type=_SHARE, help="Take whole windows up to this share of all tokens. Default: 0.25.")
@click.option("--coverage", type=_SHARE, help="Instead: take windows until this share is covered.")
@click.option("--exact", is_flag=True, help="Take exactly the budget, token by token instead of whole windows.")
@click.option(
    "--words",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="OCR file of the page: Textract, Azure Read or a word list.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "rapidocr"]),
    default="auto",
    show_default=True,
    help="Without --words. auto: PDF text layer, else RapidOCR where installed.",
)
@click.option("--dpi", type=click.FloatRange(36, 600), default=144.0, show_default=True, help="For PDF pages.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("selection"),
    show_default=True,
    help="Folder for selection.json, selection.html and a picture a page.",
)
@model_option
@device_option
@json_option
def select(
    file: Path,
    question: str,
    run: Path | None,
    ranker: str | None,
    numbers: tuple[int, ...],
    budget: float | None,
    coverage: float | None,
    exact: bool,
    words: Path | None,
    engine: Literal["auto", "rapidocr"],
    dpi: float,
    out: Path,
    model: str | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Show the regions of IMAGE or PDF that QUESTION needs.

    The shipped ranker chooses them from the page's words and layout, in milliseconds on a CPU; --run takes a trained
    aligner instead. All pages of a PDF compete, unless --page names some. What is selected is joined into boxes, in
    pixels of the page (for a PDF, of the page rendered at --dpi). The budget counts visual tokens; up to 15 % of a box
    may lie outside the selected tokens. A score says how many times more evidence is expected there than by chance;
    that of an aligner is a similarity, -1 to 1. What it cost is printed too.

    \b
    Examples:
      pinpoint select page.png "What was the total in 2019?" --words page.json
      pinpoint select report.pdf "Which region grew most?" --budget 0.1 --out answer
      pinpoint select report.pdf "Which region grew most?" --run runs/qwen --model Qwen2-VL-7B-Instruct --device cuda
    """
    if coverage is not None and (budget is not None or exact):
        raise UsageError("--coverage stands alone, without --budget and --exact")
    if run is not None and ranker is not None:
        raise UsageError("give --run or --ranker, not both")
    if run is None and (model is not None or device is not None):
        raise UsageError("--model and --device belong to a --run; the ranker needs neither")
    from training.pages.lone import read_pages
    from training.selection.select import select_regions
    from training.window_scorers import RankerScorer

    # Bytes of the command line that are no text arrive as lone surrogates, which no file can hold.
    question = question.encode("utf-8", "replace").decode("utf-8")
    scorer, reads_words = _scorer(run, ranker, model, device)
    if words is not None and not reads_words:
        raise UsageError("its backbone reads no words; leave out --words", file=run)
    pages = read_pages(file, numbers, words=words, engine=engine, dpi=dpi, with_words=reads_words)
    bare = [page.number for page in pages if not page.page.words.texts]
    if bare and reads_words:
        click.echo(f"pinpoint: warning: no words on page {', '.join(map(str, bare[:10]))}", err=True)
    selection = select_regions(
        scorer,
        [page.page for page in pages],
        question,
        budget,
        coverage=coverage,
        exact=exact,
        numbers=[page.number for page in pages],
    )
    if isinstance(scorer, RankerScorer):
        by = {"ranker": scorer.ranker.name, "license": scorer.ranker.license}
    else:
        by = {"run": scorer.run.path.resolve().name}
    facts = {"file": file.name, **by, "cost": selection.cost.to_json()}
    payload = selection.to_json() | facts
    files = _write(selection, payload, out)
    emit(payload | {"files": [str(path) for path in files]}, _text(selection, by, files), as_json=as_json)


def _scorer(
    run: Path | None, ranker: str | None, model: str | None, device: str | None
) -> tuple[PinpointScorer | RankerScorer, bool]:
    """What ranks the windows, and whether it reads words. The ranker needs no torch, which takes seconds to import."""
    if run is None:
        from training.ranker.model import SHIPPED
        from training.window_scorers.ranker import RankerScorer

        return RankerScorer(SHIPPED if ranker is None else ranker), True
    from training.opening import open_run
    from training.window_scorers.pinpoint import PinpointScorer

    loaded = open_run(run, model, device)
    return PinpointScorer(loaded), loaded.backbone.reads_words


def _write(selection: Selection, payload: dict[str, Any], out: Path) -> list[Path]:
    from pinpoint_data.atomic import write_json
    from training.rendering.html import save_html
    from training.rendering.pictures import save_pictures

    out.mkdir(parents=True, exist_ok=True)
    # Pictures of an earlier question over other pages would be taken for this one's.
    for earlier in (out / "selection.png", *out.glob("selection-p*.png")):
        earlier.unlink(missing_ok=True)
    write_json(out / "selection.json", payload)
    save_html(selection, out / "selection.html")
    return [out / "selection.json", out / "selection.html", *save_pictures(selection, out)]


def _text(selection: Selection, by: dict[str, str], files: list[Path]) -> str:
    several = len(selection.pages) > 1
    boxes = "1 box" if len(selection.boxes) == 1 else f"{len(selection.boxes)} boxes"
    pages = f" of {len(selection.pages)} pages" if several else ""
    # The weights' licence may be narrower than the program's: whoever uses them is told each time.
    whose = f"; ranker {by['ranker']}, weights under {by['license']}" if by.get("license") else ""
    head = f"{boxes}, {selection.budget_used:.1%} of {selection.tokens:,} tokens{pages}{whose}"
    lines = [head, selection.cost.line()]
    for box in selection.boxes[:_BOXES_SHOWN]:
        place = f"page {selection.numbers[box.page_index]:>3}  " if several else ""
        corners = "  ".join(f"{at:7.1f}" for at in box.xyxy)
        lines.append(f"  {box.region:>2}  {place}score {box.score:6.3f}  x0 y0 x1 y1  {corners}")
    if len(selection.boxes) > _BOXES_SHOWN:
        lines.append(f"  ... and {len(selection.boxes) - _BOXES_SHOWN} more in {files[0]}")
    return "\n".join([*lines, *(f"written {path}" for path in files)])
