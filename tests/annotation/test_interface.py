"""The labelling interface, parsed by an independent XML reader and compared with the schema."""

from __future__ import annotations

import json
from xml.dom import minidom

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from annotation.label_studio.commands import label_studio
from annotation.label_studio.interface import CHOICES, config_xml, controls, data_keys
from pinpoint_data.draw import ROLE_COLOURS
from pinpoint_data.errors import UsageError
from pinpoint_data.schema import ROLES, STATUSES


def elements(xml: str, tag: str) -> list[dict[str, str]]:
    return [dict(element.attributes.items()) for element in minidom.parseString(xml).getElementsByTagName(tag)]


def test_labels_are_the_roles_in_the_colours_of_the_pictures() -> None:
    labels = elements(config_xml(), "Label")
    assert [label["value"] for label in labels] == list(ROLES)
    assert [label["background"] for label in labels] == ["#{:02x}{:02x}{:02x}".format(*ROLE_COLOURS[r]) for r in ROLES]


def test_choices_are_the_statuses_an_annotator_can_choose_and_one_is_required() -> None:
    (status,) = elements(config_xml(), "Choices")
    assert (status["name"], status["toName"], status["choice"]) == ("status", "pages", "single-radio")
    assert status["required"] == "true"
    chosen = [choice["value"] for choice in elements(config_xml(), "Choice")]
    assert chosen == list(CHOICES) == [s for s in STATUSES if s not in ("skipped", "unfinished")]


def test_hotkeys_differ() -> None:
    keys = [e["hotkey"] for tag in ("Label", "Choice") for e in elements(config_xml(), tag)]
    assert len(set(keys)) == len(keys) == len(ROLES) + len(CHOICES)


def test_pages_are_a_list_that_can_be_zoomed_and_turned() -> None:
    (image,) = elements(config_xml(), "Image")
    assert image["name"] == "pages"
    assert image["valueList"] == "$pages"
    assert {image[name] for name in ("zoom", "zoomControl", "rotateControl")} == {"true"}
    (boxes,) = elements(config_xml(), "RectangleLabels")
    assert (boxes["name"], boxes["toName"], boxes["canRotate"]) == ("evidence", "pages", "true")


def test_the_note_is_optional() -> None:
    (note,) = elements(config_xml(), "TextArea")
    assert note["name"] == "note"
    assert "required" not in note


def test_only_question_and_answers_are_shown_as_text() -> None:
    assert data_keys(config_xml()) == ["answers", "question"]


def test_controls_are_read_back() -> None:
    found = controls(config_xml(["label-studio:3"]))
    assert {name: (c.type, c.to_name) for name, c in found.items()} == {
        "evidence": ("rectanglelabels", "pages"),
        "by": ("rectanglelabels", "pages"),
        "status": ("choices", "pages"),
        "note": ("textarea", "pages"),
    }
    assert found["evidence"].values == ROLES
    assert found["by"].values == ("label-studio:3",)


def test_an_alias_is_what_is_exported() -> None:
    xml = '<View><Choices name="a" toName="b"><Choice value="Long text" alias="x"/></Choices></View>'
    assert controls(xml)["a"].values == ("x",)


@given(st.lists(st.text(st.characters(codec=None), min_size=1), max_size=4))
def test_a_review_shows_one_label_an_annotator_whatever_the_name(names: list[str]) -> None:
    shown = controls(config_xml(names)).get("by")
    assert len(shown.values if shown else ()) == len(names)


def test_hostile_names_stay_attributes() -> None:
    hostile = '"/><Script src="x"/><Label value="'
    xml = config_xml([hostile])
    assert not minidom.parseString(xml).getElementsByTagName("Script")
    assert controls(xml)["by"].values == (hostile,)


@pytest.mark.parametrize("xml", ["", "<View>", "no xml", "<a>\x00</a>"])
def test_what_is_no_xml_is_refused(xml: str) -> None:
    with pytest.raises(UsageError, match="not XML"):
        controls(xml)


def test_the_command_prints_it() -> None:
    printed = CliRunner().invoke(label_studio, ["config"])
    assert printed.exit_code == 0
    assert printed.output == config_xml()
    as_json = CliRunner().invoke(label_studio, ["config", "--json", "--review", "a<b>"])
    found = json.loads(as_json.output)
    assert found["config"] == config_xml(["a<b>"])
    assert found["labels"] == list(ROLES)
