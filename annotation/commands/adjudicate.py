"""`pinpoint adjudicate`: one evidence from all annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from pinpoint_data.console import emit, jobs_option, json_option, workspace_argument


@click.command()
@workspace_argument
@click.option(
    "--quorum",
    default="2",
    show_default=True,
    metavar="N|SHARE",
    help="Votes that a box needs: a number, or a share of those who see evidence (0.5, 2/3, 50%).",
)
@click.option(
    "--iou",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.5,
    show_default=True,
    help="From which mean IoU boxes of different annotators are one.",
)
@click.option(
    "--box",
    type=click.Choice(["mean", "medoid"]),
    default="mean",
    show_default=True,
    help="The mean of the voters' boxes, or the real box nearest to it.",
)
@click.option(
    "--judgements",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Finished judgements that a question needs.",
)
@click.option(
    "--contest",
    type=click.FloatRange(min=0, min_open=True),
    default=0.5,
    show_default=True,
    metavar="SHARE",
    help="A box below the quorum with this share of the votes makes its question a conflict; above 1 none does.",
)
@click.option(
    "--annotator",
    "annotators",
    metavar="PATTERN",
    multiple=True,
    help="Who votes; may be repeated.  [default: everybody but gold:* and proposal:*]",
)
@click.option("--exclude", metavar="PATTERN", multiple=True, help="Who does not; may be repeated.")
@click.option(
    "--review",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="OUT",
    help="Write the conflicts as review tasks for Label Studio into this folder.",
)
@click.option(
    "--images",
    type=click.Choice(["local-files", "data-uri"]),
    default="local-files",
    show_default=True,
    help="Pages of the review tasks: files that the server serves, or inside the tasks (a few small ones).",
)
@click.option(
    "--document-root",
    type=click.Path(path_type=Path, file_okay=False),
    help="The server's document root, with OUT below it.  [default: OUT]",
)
@jobs_option
@json_option
@click.pass_context
def adjudicate(
    ctx: click.Context,
    workspace: Path,
    quorum: str,
    iou: float,
    box: str,
    judgements: int,
    contest: float,
    annotators: tuple[str, ...],
    exclude: tuple[str, ...],
    review: Path | None,
    images: Literal["local-files", "data-uri"],
    document_root: Path | None,
    jobs: int,
    as_json: bool,
) -> None:
    """Decide the evidence of WORKSPACE by vote, and by people where they decided.

    Writes the tables evidence and verdicts anew from the annotations, the policy and the decisions in
    files/adjudication/overlay.jsonl, which hold over votes; delete a line there and run again to undo one. Annotations
    are never changed. A question that votes cannot decide is a conflict: its verdict is unfinished, and it is
    published so. Review tasks show every annotator's boxes of a conflict and let somebody correct the likely ones;
    `label-studio pull` and `import` add the answers to the decisions.

    The exit code is 1 where annotations, decisions or review tasks had to be left out; conflicts do not count.

    \b
    Examples:
      pinpoint adjudicate ws
      pinpoint adjudicate ws --quorum 2/3 --box medoid --exclude label-studio:7
      pinpoint adjudicate ws --quorum 2 --review conflicts
    """
    from annotation.adjudication.overlay import read_overlay
    from annotation.adjudication.policy import Policy, Quorum, box_rule
    from annotation.adjudication.review import write_review
    from annotation.adjudication.run import adjudicate as decide_all
    from annotation.adjudication.run import write_adjudication
    from annotation.adjudication.text import adjudication_text
    from annotation.judgements import load_judgements
    from annotation.label_studio.task_files import check_folder
    from pinpoint_data.workspace import Workspace

    if review is not None:
        check_folder(review)
    policy = Policy(Quorum.parse(quorum), iou, box_rule(box), judgements, contest, annotators, exclude)
    ws = Workspace.open(workspace)
    with ws.lock("adjudicate"):
        votes = load_judgements(ws, annotators, exclude=exclude)
        found = decide_all(ws, votes, policy, read_overlay(ws))
        write_adjudication(ws, found)
        tasks = write_review(ws, review, images, document_root, jobs) if review is not None else None
    payload, lines = {"workspace": str(workspace), **found.to_json()}, [adjudication_text(found)]
    if tasks is not None:
        payload["review"] = {"out": str(review), "files": tasks.files, **tasks.outcome.to_json()}
        lines.append(f"review in {review}: {tasks.outcome.text()}")
    emit(payload, "\n".join(lines), as_json=as_json)
    ctx.exit(1 if found.problems or (tasks is not None and tasks.outcome.refused) else 0)
