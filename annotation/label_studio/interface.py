"""The labelling interface: what an annotator sees, made from the same schema that the importer reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from annotation.judgements import DONE
from pinpoint_data.draw import ROLE_COLOURS
from pinpoint_data.errors import UsageError
from pinpoint_data.schema import ROLES
from pinpoint_data.words.base import well_formed

TASK_SCHEMA_VERSION = 1
"""Version of `task["data"]`; an importer refuses a newer one."""

INTERFACE_VERSION = 1
"""Raised when annotators would see something else; it is part of every task's fingerprint."""

PAGES, EVIDENCE, STATUS, NOTE, BY = "pages", "evidence", "status", "note", "by"
"""Names of the controls. `by` exists in reviews only: it shows other people's boxes, and nobody reads it back."""

CHOICES = DONE
"""What an annotator can say about a question. The other statuses are Label Studio's own Skip and drafts."""

INSTRUCTIONS = """\
Mark what a reader needs to answer the question, as tight as the text or figure allows, on every page that shows it.
answer: the answer itself, one box a line. support: what makes one sure of it (headers, legend, title, unit).
A very tall page comes in parts that overlap: mark each thing once.
Then choose a status. evidence: everything needed is marked. no_evidence: the pages do not show it.
unanswerable: the question has no answer here. wrong_answer: the given answer is wrong.
"""

STREAM = (
    "annotators begin with 'Label All Tasks'; in the task list they would see, and change, what somebody else drew, "
    "and they could not skip"
)
"""How annotators get their tasks without seeing each other's work."""

_LABEL_HOTKEYS = "12"
_CHOICE_HOTKEYS = "6789"
_BY_COLOURS = ("#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
_LABEL_TAGS = {"RectangleLabels": "rectanglelabels", "Choices": "choices", "TextArea": "textarea"}


@dataclass(frozen=True)
class Control:
    """One control of an interface.

    Attributes:
        name: What regions call it in `from_name`.
        type: Label Studio's name of its results: `rectanglelabels`, `choices` or `textarea`.
        to_name: The object it marks.
        values: Its labels or choices; empty for a text.
    """

    name: str
    type: str
    to_name: str
    values: tuple[str, ...]


def config_xml(shown_annotators: Sequence[str] = ()) -> str:
    """The interface as Label Studio's XML.

    Args:
        shown_annotators: For a review: the annotators whose boxes are shown, one label each.
    """
    root = ElementTree.Element("View")
    _add(root, "Header", value="$question", size="4")
    _add(root, "Header", value="Answer: $answers", size="5")
    help_ = _add(_add(root, "Collapse", bordered="true", open="false"), "Panel", value="How to annotate")
    for line in INSTRUCTIONS.splitlines():
        _add(help_, "Header", value=line, size="6")
    labels = _add(root, "RectangleLabels", name=EVIDENCE, toName=PAGES, canRotate="true", strokeWidth="2")
    for role, hotkey in zip(ROLES, _LABEL_HOTKEYS, strict=True):
        _add(labels, "Label", value=role, background=_hex(ROLE_COLOURS[role]), hotkey=hotkey)
    if shown_annotators:
        _add_shown(root, shown_annotators)
    # Above the image: below it, nobody sees the status without scrolling.
    _add_status(root)
    _add(root, "Image", name=PAGES, valueList=f"${PAGES}", zoom="true", zoomControl="true", rotateControl="true")
    _add(root, "TextArea", name=NOTE, toName=PAGES, maxSubmissions="1", rows="2", placeholder="Note (optional)")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _add_status(root: ElementTree.Element) -> None:
    status = _add(
        root,
        "Choices",
        name=STATUS,
        toName=PAGES,
        choice="single-radio",
        required="true",
        requiredMessage="Choose a status: a question without boxes must not look like one that nobody has done.",
        showInline="true",
    )
    for choice, hotkey in zip(CHOICES, _CHOICE_HOTKEYS, strict=True):
        _add(status, "Choice", value=choice, hotkey=hotkey)


def _add_shown(root: ElementTree.Element, annotators: Sequence[str]) -> None:
    _add(root, "Header", value="Boxes of the annotators, to compare; they are not read back.", size="6")
    shown = _add(root, "RectangleLabels", name=BY, toName=PAGES, canRotate="true", opacity="0.15")
    for place, annotator in enumerate(annotators):
        _add(shown, "Label", value=label_of(annotator), background=_BY_COLOURS[place % len(_BY_COLOURS)])


def label_of(annotator: str) -> str:
    """An annotator's name as a label: XML has no place for control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in well_formed(annotator))


def controls(xml: str) -> dict[str, Control]:
    """The controls of an interface by name.

    Raises:
        UsageError: It is not XML.
    """
    return {control.name: control for control in _controls(_parsed(xml))}


def data_keys(xml: str) -> list[str]:
    """Keys of `task["data"]` that an interface shows as text: a task without one is refused.

    Raises:
        UsageError: It is not XML.
    """
    values = [element.attrib.get("value", "") for element in _parsed(xml).iter()]
    return sorted({key for value in values for key in re.findall(r"\$(\w+)", value)})


def _parsed(xml: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError) as error:
        raise UsageError(f"the labelling interface is not XML: {error}") from error


def _controls(root: ElementTree.Element) -> Iterator[Control]:
    for element in root.iter():
        if element.tag in _LABEL_TAGS:
            values = tuple(_value(child.attrib) for child in element)
            attributes = element.attrib
            yield Control(attributes.get("name", ""), _LABEL_TAGS[element.tag], attributes.get("toName", ""), values)


def _value(attributes: Mapping[str, str]) -> str:
    return attributes.get("alias") or attributes.get("value", "")


def _add(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, attributes)


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
