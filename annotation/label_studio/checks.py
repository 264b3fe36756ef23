"""Preflight of a push: all tasks are looked at before the first is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from annotation.label_studio.preflight import Code, Finding, ImageSample, Preflight
from annotation.label_studio.tasks import Task
from pinpoint_data.errors import PageError, PinpointError, Problem

_IMAGES = (Code.IMAGE_UNREACHABLE, Code.IMAGE_MISSING, Code.IMAGE_DAMAGED, Code.IMAGE_SIZE)
# Said in other words once it is known what the server has.
_SAID_LATER = (Code.MIXED_VERSIONS,)


def check_tasks(
    tasks: Iterable[Task | Problem], config: str, fetch: Callable[[str], bytes], sample: int
) -> tuple[dict[str, Problem], list[str]]:
    """Look at every task, and at the images of some.

    Args:
        tasks: As they will be sent.
        config: The labelling interface.
        fetch: Gets a path from the server.
        sample: How many images are looked at.

    Returns:
        What is wrong with tasks that must not be sent, by `pinpoint_id`, and warnings.

    Raises:
        PinpointError: Annotators would not see the pages; that is seldom the fault of one page.
    """
    unreadable: list[str] = []

    def fetched(path: str) -> bytes:
        try:
            return fetch(path)
        except PageError:
            # One page that is not uploaded yet and never will be: its tasks are refused when their turn comes.
            unreadable.append(path)
            raise

    check = Preflight(config, ImageSample(sample, fetch=fetched))
    bad: dict[str, Problem] = {}
    warnings: list[str] = []
    for task in tasks:
        if isinstance(task, Problem):
            continue
        for finding in check.check(task.payload()):
            _sort(finding, bad, warnings)
    blind = []
    for finding in check.finish() if check.tasks else ():
        if finding.kind in _IMAGES:
            blind += [] if any(path in finding.message for path in unreadable) else [finding]
        else:
            _sort(finding, bad, warnings)
    if blind:
        first = blind[0]
        raise PinpointError(
            f"nothing was sent: {len(blind)} of the images looked at are not what annotators should see, such as "
            f"{first.message}",
            file=first.code,
            record=first.task,
            remedy=first.remedy or first.kind.remedy,
        )
    return bad, warnings


def _sort(finding: Finding, bad: dict[str, Problem], warnings: list[str]) -> None:
    if finding.severity == "error":
        remedy = finding.remedy or finding.kind.remedy
        bad.setdefault(finding.task, Problem(finding.code, "preflight", finding.task, finding.message, remedy))
    elif finding.severity == "warning" and finding.kind not in _SAID_LATER:
        warnings.append(str(finding))
