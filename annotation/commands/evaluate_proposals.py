"""`pinpoint evaluate-proposals`: any annotator's boxes against the gold."""

from __future__ import annotations

from pathlib import Path

import click

from pinpoint_data.console import emit, json_option, workspace_argument


@click.command("evaluate-proposals")
@workspace_argument
@click.option(
    "--annotator",
    "annotators",
    multiple=True,
    default=("proposal:*",),
    show_default=True,
    metavar="PATTERN",
    help="Whose boxes; may be repeated.",
)
@click.option("--gold", default="gold:*", show_default=True, metavar="PATTERN", help="Whose boxes are the truth.")
@click.option("--source", metavar="NAME", help="Only questions of this source.")
@json_option
@click.pass_context
def evaluate_proposals(
    ctx: click.Context, workspace: Path, annotators: tuple[str, ...], gold: str, source: str | None, as_json: bool
) -> None:
    """Score boxes of WORKSPACE against its gold, and say what fails.

    Precision, recall and F1 pair boxes one to one at an IoU of at least 0.5, as many as can be paired. Evidence
    recall is the share of the gold's area that is covered, area precision the share of the boxes' area that is gold.
    Intervals (95 %) resample documents. A person's skipped and unfinished questions are not scored. The exit code is 1
    where regions or judgements had to be left out.

    \b
    Examples:
      pinpoint evaluate-proposals ws
      pinpoint evaluate-proposals ws --annotator 'label-studio:*' --source funsd --json
    """
    from annotation.proposals.evaluation import evaluate, to_json, to_text
    from pinpoint_data.workspace import Workspace

    evaluations, problems = evaluate(Workspace.open(workspace), annotators, gold=gold, source=source)
    text = "\n\n".join(map(to_text, evaluations))
    if problems:
        text += f"\n{len(problems):,} regions could not be used; the first: {problems[0]}"
    payload = {
        "workspace": str(workspace),
        "evaluations": [to_json(evaluation) for evaluation in evaluations],
        "problems": [str(problem) for problem in problems],
    }
    emit(payload, text, as_json=as_json)
    ctx.exit(1 if problems else 0)
