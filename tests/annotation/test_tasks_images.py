"""Page images: original bytes where a browser shows them, else drawn; names, addresses, limits."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest
from PIL import Image

from annotation.label_studio.geometry import Item
from annotation.label_studio.page_images import DataUris, LocalFiles, PagePart, SourcePage, UrlTemplate
from annotation.label_studio.tasks import Task
from pinpoint_data.errors import PageError, UsageError
from pinpoint_data.pages import load_page, probe_image
from pinpoint_data.workspace import Workspace
from tests.annotation.tasks_build import files, local, pattern, row, saved, tasks, zoo
from tests.loaders import build

ORIGINAL = ("plain.png", "photo.jpg", "still.webp")
DRAWN = ("turned.png", "scan.tiff", "moving.gif", "report.pdf")


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return zoo(tmp_path)


def served(tmp_path: Path, url: str) -> bytes:
    """What Label Studio gives out for the address."""
    parts = urlsplit(url)
    assert parts.path == "/data/local-files/"
    return (tmp_path / "root" / parse_qs(parts.query)["d"][0]).read_bytes()


def part(tmp_path: Path, name: str, data: bytes, **changes: object) -> PagePart:
    """A whole page with this file."""
    (tmp_path / name).write_bytes(data)
    found = row(name, probe_image(tmp_path, name)) | changes
    return PagePart(SourcePage(tmp_path, found), (0, 0, found["width"], found["height"]))


def pictures(task: Task, tmp_path: Path) -> list[tuple[Item, Image.Image]]:
    """Each item and its picture as a browser has it: EXIF applied for JPEG only."""
    shown = []
    for entry, url in zip(task.data["items"], task.data["pages"], strict=True):
        image = Image.open(io.BytesIO(served(tmp_path, url)))
        if image.format == "JPEG" and image.getexif().get(0x0112) == 6:
            image = image.transpose(Image.Transpose.ROTATE_270)
        shown.append((Item.from_json(entry), image))
    return shown


def test_every_item_shows_its_pixels_in_its_size(ws: Workspace, tmp_path: Path) -> None:
    pages = {page["page_id"]: page for page in ws.iter_rows("pages")}
    task = tasks(ws, local(tmp_path))[0]["zoo/all"]
    for item, image in pictures(task, tmp_path):
        page = load_page(tmp_path / "zoo", pages[item.page_id])
        assert image.size == (item.width, item.height)
        expected = page.crop(tuple(map(int, item.xyxy)))
        assert np.abs(np.asarray(image.convert("RGB"), int) - np.asarray(expected, int)).max() <= 1


@pytest.mark.parametrize("name", ORIGINAL)
def test_pages_that_a_browser_shows_keep_their_bytes(ws: Workspace, tmp_path: Path, name: str) -> None:
    (url,) = tasks(ws, local(tmp_path), questions=(f"zoo/{name}",))[0][f"zoo/{name}"].data["pages"]
    assert served(tmp_path, url) == files()[name]


@pytest.mark.parametrize("name", DRAWN)
def test_other_pages_are_drawn(ws: Workspace, tmp_path: Path, name: str) -> None:
    (url,) = tasks(ws, local(tmp_path), questions=(f"zoo/{name}",))[0][f"zoo/{name}"].data["pages"]
    image = Image.open(io.BytesIO(served(tmp_path, url)))
    assert (image.format, getattr(image, "n_frames", 1), image.getexif().get(0x0112)) == ("PNG", 1, None)


def test_parts_of_a_photo_are_photos(tmp_path: Path) -> None:
    whole = part(tmp_path, "tall.jpg", saved(pattern(50, 400), "JPEG"))
    cut = PagePart(whole.page, (0, 100, 50, 80))
    assert cut.name().endswith(".jpg")
    assert Image.open(io.BytesIO(cut.data())).size == (50, 80)
    assert whole.data() == (tmp_path / "tall.jpg").read_bytes()


def test_names_are_safe_and_belong_to_the_content(ws: Workspace, tmp_path: Path) -> None:
    urls = [url for task in tasks(ws, local(tmp_path))[0].values() for url in task.data["pages"]]
    assert all(re.fullmatch(r"/data/local-files/\?d=pages/[0-9a-f]{2}/[0-9a-f]{40}\.(jpg|png|webp)", u) for u in urls)
    assert len(set(urls)) == len(urls) / 2 == len(list((tmp_path / "root").rglob("*.*")))


def test_two_pages_of_the_same_content_share_a_file(tmp_path: Path) -> None:
    data = saved(pattern(20, 20), "PNG")
    images = LocalFiles(tmp_path / "root" / "pages", tmp_path / "root")
    assert images.url(part(tmp_path, "a.png", data)) == images.url(part(tmp_path, "b.png", data))


def test_files_that_are_there_are_kept(ws: Workspace, tmp_path: Path) -> None:
    tasks(ws, local(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "root").rglob("*.*")}
    gone = min(before)
    gone.unlink()
    tasks(ws, local(tmp_path))
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "root").rglob("*.*")}
    assert after.keys() == before.keys()
    assert [path for path in after if after[path] != before[path]] == [gone]


def test_folders_with_odd_names_are_percent_encoded(tmp_path: Path) -> None:
    images = LocalFiles(tmp_path / "root" / "50% #1 + ü&d=x", tmp_path / "root")
    url = images.url(part(tmp_path, "a.png", saved(pattern(20, 20), "PNG")))
    assert re.fullmatch(r"/data/local-files/\?d=50%25%20%231%20%2B%20%C3%BC%26d%3Dx/../[0-9a-f]{40}\.png", url)
    assert served(tmp_path, url)


@pytest.mark.parametrize("folder", ["root", "elsewhere", "root/../x", "root-2/pages"])
def test_the_folder_must_lie_below_the_document_root(tmp_path: Path, folder: str) -> None:
    with pytest.raises(UsageError, match="below the document root"):
        LocalFiles(tmp_path / folder, tmp_path / "root")


def test_a_folder_that_is_a_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "root" / "pages").symlink_to(tmp_path / "out")
    with pytest.raises(UsageError, match="below the document root"):
        LocalFiles(tmp_path / "root" / "pages", tmp_path / "root")


def test_a_page_that_changed_since_ingest_is_refused(tmp_path: Path) -> None:
    found = part(tmp_path, "a.png", saved(pattern(20, 20), "PNG"))
    (tmp_path / "a.png").write_bytes(saved(pattern(20, 20).rotate(180), "PNG"))
    with pytest.raises(PageError, match="has changed since"):
        found.data()


def test_a_page_outside_its_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    found = part(tmp_path, "a.png", saved(pattern(20, 20), "PNG"))
    outside = PagePart(SourcePage(tmp_path / "in", dict(found.page.row) | {"path": "../a.png"}), found.rect)
    with pytest.raises(PageError) as refused:
        outside.name()
    assert refused.value.code == "path-escapes-root"


def test_a_page_without_a_hash_gets_its_name_from_its_bytes(tmp_path: Path) -> None:
    data = saved(pattern(20, 20), "PNG")
    assert part(tmp_path, "a.png", data, sha256=None).name() == part(tmp_path, "a.png", data).name()


def test_a_template_is_filled_and_percent_encoded(tmp_path: Path) -> None:
    (tmp_path / "d #1").mkdir()
    found = part(tmp_path, "d #1/ü.png", saved(pattern(20, 20), "PNG"), source="s/1", page_id="s/1/ü?x=1&y")
    url = UrlTemplate("https://host/{source}/{path}?id={page_id}&at={part}").url(found)
    assert url == "https://host/s%2F1/d%20%231/%C3%BC.png?id=s%2F1%2F%C3%BC%3Fx%3D1%26y&at=0,0,20,20"
    assert unquote(url).startswith("https://host/s/1/d #1/ü.png")


def test_a_template_cannot_serve_what_must_be_drawn(ws: Workspace) -> None:
    found, problems = tasks(ws, UrlTemplate("https://host/{path}"))
    assert {p.record.removeprefix("zoo/"): p.code for p in problems} == dict.fromkeys(
        [*DRAWN, "tall.png", "all"], "not-servable"
    )
    assert {key.removeprefix("zoo/") for key in found} == set(ORIGINAL)


def test_a_template_with_parts_leaves_the_drawing_to_an_image_server(ws: Workspace) -> None:
    found, problems = tasks(ws, UrlTemplate("https://iiif/{page_id}/{part}/max/0/default.jpg"))
    assert not problems
    assert found["zoo/tall.png"].data["pages"][1] == "https://iiif/zoo%2Ftall.png/0,538,400,613/max/0/default.jpg"


def test_a_template_with_names_comes_with_a_folder_of_files(ws: Workspace, tmp_path: Path) -> None:
    found, problems = tasks(ws, UrlTemplate("https://host/{name}", tmp_path / "up"))
    assert not problems
    urls = {url for task in found.values() for url in task.data["pages"]}
    written = {path.relative_to(tmp_path / "up").as_posix() for path in (tmp_path / "up").rglob("*.*")}
    assert {url.removeprefix("https://host/") for url in urls} == written


@pytest.mark.parametrize(
    "template",
    [
        "https://host/same.png",
        "https://host/{source}",
        "https://host/{path.__class__}",
        "https://host/{path!r}",
        "https://host/{path:>9}",
        "https://host/{0}",
        "https://host/{",
        "{path}",
        "/data/{path}",
        "javascript:{path}",
        "javascript://host/{path}",
        "file:///pages/{path}",
        "https://host/{name}",
    ],
)
def test_templates_that_cannot_work_are_refused(template: str) -> None:
    with pytest.raises(UsageError):
        UrlTemplate(template)


def test_a_folder_without_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        UrlTemplate("https://host/{path}", tmp_path)


def test_a_data_uri_holds_the_original_bytes(tmp_path: Path) -> None:
    data = saved(pattern(20, 20), "PNG")
    head, body = DataUris().url(part(tmp_path, "a.png", data)).split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == data


def test_a_large_data_uri_is_a_jpeg_of_full_size(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    found = part(tmp_path, "a.png", saved(Image.fromarray(noise), "PNG"))
    head, body = DataUris(90_000).url(found).split(",")
    assert head == "data:image/jpeg;base64"
    data = base64.b64decode(body)
    assert len(data) <= 90_000
    assert Image.open(io.BytesIO(data)).size == (300, 200)
    with pytest.raises(PageError) as refused:
        DataUris(9_000).url(found)
    assert refused.value.code == "image-too-large"


def test_a_huge_file_in_the_place_of_a_page_is_refused(tmp_path: Path) -> None:
    found = part(tmp_path, "a.png", saved(pattern(20, 20), "PNG"))
    (tmp_path / "a.png").write_bytes(saved(Image.new("1", (12000, 12000)), "PNG"))
    with pytest.raises(PageError) as refused:
        found.name()
    assert refused.value.code in ("decompression-bomb", "changed-page")


def test_pages_are_those_of_the_hand_made_builder_too(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws")
    build.add_documents(ws, "docs", tmp_path / "docs")
    found, problems = tasks(ws, local(tmp_path))
    assert not problems
    assert [len(task.data["pages"]) for task in found.values()] == [3, 3]
