"""Preflight: what would go wrong with tasks on a Label Studio server, found before anything is sent.

Label Studio takes almost anything and says nothing; the damage shows when the annotators' work is exported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from annotation.label_studio.interface import PAGES, config_xml, controls, data_keys
from annotation.label_studio.preflight.codes import Code, Finding, codes_table
from annotation.label_studio.preflight.images import ImageSample, address_fault
from annotation.label_studio.preflight.tasks import items_of, task_faults

__all__ = ["Code", "Finding", "ImageSample", "Preflight", "codes_table", "preflight", "title_finding"]


class Preflight:
    """Looks at tasks one at a time, and at what they have in common.

    Args:
        config: The project's interface; by default the one for annotations.
        images: Which images to look at; by default a few, where that needs no server.
    """

    def __init__(self, config: str | None = None, images: ImageSample | None = None) -> None:
        xml = config_xml() if config is None else config
        self._controls, self._keys = controls(xml), data_keys(xml)
        self._images = ImageSample() if images is None else images
        self._seen: dict[str, str] = {}
        self._versions: set[str] = set()
        self.tasks = 0

    def check(self, task: Any, file: str = "") -> Iterator[Finding]:
        """What is wrong with one task.

        Args:
            task: What the import would get.
            file: The file it comes from.
        """
        data = task["data"] if isinstance(task, dict) and isinstance(task.get("data"), dict) else {}
        found = data.get("pinpoint_id")
        name = found if isinstance(found, str) and found else f"task {self.tasks + 1}"
        self.tasks += 1
        for code, message in task_faults(task, self._controls, self._keys):
            yield Finding(code, name, message, file)
        if isinstance(found, str) and found:
            if found in self._seen:
                yield Finding(Code.DUPLICATE_TASK, name, f"stands in {self._seen[found]} too", file)
            self._seen.setdefault(found, file or "the list before")
        yield from self._addresses(data, name, file)
        predictions = task.get("predictions") if isinstance(task, dict) else None
        for prediction in predictions if isinstance(predictions, list) else []:
            version = prediction.get("model_version") if isinstance(prediction, dict) else None
            if isinstance(version, str) and len(self._versions) < 100:
                self._versions.add(version)

    def finish(self) -> Iterator[Finding]:
        """What is wrong with all of them together, and with the images of the sample."""
        if not self.tasks:
            yield Finding(Code.NO_TASKS, "", "the list is empty")
        if len(self._versions) > 1:
            listed = ", ".join(sorted(self._versions)[:5])
            yield Finding(Code.MIXED_VERSIONS, "", f"{len(self._versions)} of them: {listed}")
        yield from self._images.findings()

    def _addresses(self, data: dict[str, Any], name: str, file: str) -> Iterator[Finding]:
        pages = data.get(PAGES)
        if not isinstance(pages, list):
            return
        for url, item in zip(pages, items_of(data), strict=True):
            fault = address_fault(url)
            if fault is None:
                self._images.add(name, file, url, item)
            else:
                yield Finding(fault[0], name, fault[1], file)


def preflight(
    tasks: Iterable[Any], *, config: str | None = None, images: ImageSample | None = None, title: str | None = None
) -> Iterator[Finding]:
    """What would go wrong with tasks, in their order.

    Args:
        tasks: What the import would get (`Task.payload()`).
        config: The project's interface; by default the one for annotations.
        images: Which images to look at, and how.
        title: The project's title.
    """
    if title is not None and (found := title_finding(title)):
        yield found
    check = Preflight(config, images)
    for task in tasks:
        yield from check.check(task)
    yield from check.finish()


def title_finding(title: str) -> Finding | None:
    """What is wrong with a project's title."""
    if 3 <= len(title) <= 50:
        return None
    return Finding(Code.TITLE, "", f"{title[:60]!r} is {len(title)} characters long")
