"""Names of annotators: from a file, remembered, and never an e-mail address."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotation.label_studio.names import Names, read_names
from pinpoint_data.errors import UsageError


def saved(path: Path, text: str) -> Path:
    file = path / "names"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("id,email,name\n4,a@x.de,Anna\n5,,Ben\n", {"4": "Anna", "a@x.de": "Anna", "5": "Ben"}),
        ("\ufeffname,email\nAnna,a@x.de\n", {"a@x.de": "Anna"}),
        ('{"4": "Anna", "a@x.de": "Anna"}', {"4": "Anna", "a@x.de": "Anna"}),
        ("id,name\n", {}),
        ("id,name\n4,label-studio:4\n", {"4": "label-studio:4"}),
    ],
)
def test_files_of_names(tmp_path: Path, text: str, names: dict[str, str]) -> None:
    assert read_names(saved(tmp_path, text)) == names


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4,Anna\n",
        "id,name\n4,\n",
        "id,name\n4,gold:x\n",
        "id,name\n4,proposal:x\n",
        "id,name\n4,a\x07b\n",
        "id,name\n4,Anna\n5,Anna\n",
        "id,name\n4,Anna\n4,Ben\n",
        '{"4": "Anna", "5": "Anna"}',
        '{"4": "Anna", "a@x.de": "Anna", "b@x.de": "Anna"}',
        "id,name\n4,label-studio:5\n",
        "{",
        '{"4": 5}',
        "[1]",
    ],
)
def test_names_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="names"):
        read_names(saved(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_names(tmp_path / "none.csv")


def test_users_are_known_by_id_and_address() -> None:
    names = Names({"A@x.de": "Anna"}, {4: "a@X.de"})
    for user in (4, {"id": 4, "email": "other@x.de"}, "a@x.de", " A@X.DE "):
        assert names.name(names.key(user)) == "Anna"
    assert names.name(names.key(5)) == "label-studio:5"
    stranger = names.name(names.key("b@x.de"))
    assert stranger.startswith("label-studio:email-") and "@" not in stranger
    for user in (None, True, 1.5, [], {}, ""):
        assert names.key(user) == "unknown"


def test_a_remembered_name_gives_way_to_the_one_it_is_given_to() -> None:
    names = Names({"5": "Anna"})
    names.remember("4", "Anna")
    names.remember("6", "Cleo")
    assert [names.name(key) for key in ("4", "5", "6")] == ["label-studio:4", "Anna", "Cleo"]
