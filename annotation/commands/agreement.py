"""`pinpoint agreement`: how far annotators agree."""

from __future__ import annotations

from pathlib import Path

import click

from pinpoint_data.console import emit, json_option, workspace_argument


@click.command()
@workspace_argument
@click.option(
    "--annotator",
    "annotators",
    metavar="PATTERN",
    multiple=True,
    help="Whose work is compared; may be repeated.  [default: everybody but gold:* and proposal:*]",
)
@click.option("--exclude", metavar="PATTERN", multiple=True, help="Whose work is not; may be repeated.")
@click.option(
    "--iou",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.5,
    show_default=True,
    help="From which IoU two boxes are one, where a figure needs a threshold.",
)
@click.option("--disputed", type=click.IntRange(min=0), default=50, show_default=True, help="Disputed questions named.")
@click.option(
    "--resamples",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Bootstrap resamples of documents for the 95 % intervals; 0 for none.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the bootstrap.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write everything to FILE.json, or a row a question to FILE.csv or FILE.parquet.",
)
@json_option
@click.pass_context
def agreement(
    ctx: click.Context,
    workspace: Path,
    annotators: tuple[str, ...],
    exclude: tuple[str, ...],
    iou: float,
    disputed: int,
    resamples: int,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure how far the annotators of WORKSPACE agree. Nothing is changed.

    Krippendorff's alpha over boxes (at IoU 0.3 to 0.9), words and statuses, pairwise F1 and IoU, by source, annotator,
    pair and question, with the most disputed questions. docs/agreement.md defines every figure. Skipped and unfinished
    work has no vote. The exit code is 1 where judgements or regions had to be left out.

    \b
    Examples:
      pinpoint agreement ws
      pinpoint agreement ws --annotator "label-studio:*" --exclude label-studio:7 --out agreement.parquet
      pinpoint agreement ws --annotator "gold:*" --annotator "label-studio:*"   # against the gold
    """
    from annotation.agreement import Settings, measure_agreement
    from annotation.agreement.files import check_suffix, write_agreement
    from annotation.judgements import load_judgements
    from pinpoint_data.workspace import Workspace

    if out is not None:
        check_suffix(out)
    settings = Settings(iou=iou, disputed=disputed, resamples=resamples, seed=seed)
    ws = Workspace.open(workspace)
    found = measure_agreement(ws, load_judgements(ws, annotators, exclude=exclude), settings)
    if out is not None:
        write_agreement(found, out)
    emit({"workspace": str(workspace), **found.to_json()}, found.text(), as_json=as_json)
    ctx.exit(1 if found.problems else 0)
