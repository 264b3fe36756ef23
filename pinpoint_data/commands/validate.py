"""`pinpoint validate`: check the boxes, answers and tables of a workspace, and mend what is safe to mend."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinpoint_data.console import emit, json_option, workspace_argument

if TYPE_CHECKING:
    from pinpoint_data.validation.findings import Limits
    from pinpoint_data.workspace import Workspace


def _list_codes(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from pinpoint_data.validation.findings import codes_table
    from pinpoint_data.validation.run import all_rules

    click.echo(codes_table(all_rules()), nl=False)
    ctx.exit()


@click.command()
@workspace_argument
@click.option("--source", metavar="NAME", help="Check this source alone.")
@click.option("--code", "codes", metavar="CODE", multiple=True, help="Run this rule only; may be repeated.")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    metavar="PX",
    help="How far a box may reach beyond its page.",
)
@click.option("--show", type=click.IntRange(min=0), default=5, show_default=True, help="Findings listed of each code.")
@click.option(
    "--list-codes", is_flag=True, is_eager=True, expose_value=False, callback=_list_codes, help="Print all codes."
)
@click.option("--fix", is_flag=True, help="Clip boxes that leave their page a little, drop boxes that stand twice.")
@click.option("--undo-fix", is_flag=True, help="Take the last --fix back.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default=None,
    help="How the result is printed: text (default), json, or SARIF 2.1.0.",
)
@json_option
@click.pass_context
def validate(
    ctx: click.Context,
    workspace: Path,
    source: str | None,
    codes: tuple[str, ...],
    tolerance: float,
    show: int,
    fix: bool,
    undo_fix: bool,
    form: str | None,
    as_json: bool,
) -> None:
    """Check WORKSPACE: boxes, answers, verdicts, annotators, splits and ids.

    Nothing is changed without --fix. It prints each change and makes a revision under WORKSPACE/files/revisions: the
    parts as they were, and a line for every changed row. --undo-fix puts the last one back. What was
    fixed is checked again, and the findings that are left are reported.

    Exit code 0 without findings (severity info does not count), 1 with errors or warnings, 2 on misuse.

    \b
    Examples:
      pinpoint validate ws
      pinpoint validate ws --source infovqa --code box-outside-page --tolerance 1 --json
      pinpoint validate ws --format sarif > findings.sarif
      pinpoint validate ws --fix
      pinpoint validate ws --undo-fix
    """
    from pinpoint_data.validation.findings import Limits
    from pinpoint_data.validation.run import validate as run_rules
    from pinpoint_data.validation.sarif import to_sarif
    from pinpoint_data.workspace import Workspace

    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json and --format {form} exclude each other")
    if math.isnan(tolerance):
        raise click.UsageError("--tolerance must be a number of pixels, not nan: nothing would be beyond the page")
    if fix and undo_fix:
        raise click.UsageError("--fix and --undo-fix exclude each other")
    opened, limits = Workspace.open(workspace), Limits(tolerance_px=tolerance)
    done, lines = _write(opened, source, codes, limits, fix=fix, undo_fix=undo_fix)
    report = run_rules(opened, source=source, codes=codes, limits=limits)
    if form == "sarif":
        click.echo("".join(f"{line}\n" for line in lines if line), err=True, nl=False)
        emit(to_sarif(report), "", as_json=True)
    else:
        payload = {"workspace": str(workspace), **done, **report.to_json()}
        emit(payload, "\n".join([*lines, report.text(show)]), as_json=as_json or form == "json")
    ctx.exit(report.exit_code)


def _write(
    workspace: Workspace, source: str | None, codes: tuple[str, ...], limits: Limits, *, fix: bool, undo_fix: bool
) -> tuple[dict[str, Any], list[str]]:
    """Fix or undo under the workspace's lock; what was done, for machines and for people."""
    if not fix and not undo_fix:
        return {}, []
    from pinpoint_data.validation.fixes import FIXABLE
    from pinpoint_data.validation.revisions import fix as make_fix
    from pinpoint_data.validation.revisions import undo

    if undo_fix:
        with workspace.lock("pinpoint validate --undo-fix"):
            undone = undo(workspace)
        parts = [f"{part.table}/{part.part}" for part in undone.parts]
        return {"undone": {"revision": undone.number, "parts": parts}}, [
            f"undid fix {undone.number}: {', '.join(parts)}",
            "",
        ]
    wanted = [code for code in FIXABLE if not codes or code in codes]
    if not wanted:
        raise click.UsageError(f"--fix mends {' and '.join(FIXABLE)}, not {', '.join(codes)}")
    with workspace.lock("pinpoint validate --fix"):
        revision, changes = make_fix(workspace, source=source, limits=limits, codes=wanted)
    number = revision.number if revision else None
    summary = f"fix {number}: {len(changes):,} boxes; --undo-fix takes it back" if changes else "nothing to fix"
    found = {"revision": number, "changes": [change.to_json() for change in changes]}
    return {"fix": found}, [*map(str, changes), summary, ""]
