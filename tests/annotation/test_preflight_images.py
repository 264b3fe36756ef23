"""Preflight looks at a sample of the images: on disk, in the task, over HTTP, through the server."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from annotation.label_studio.preflight import Code, Finding, ImageSample
from pinpoint_data.errors import PinpointError
from tests.annotation.tasks_build import findings, pattern, saved, turned_exif

PNG = saved(pattern(120, 80), "PNG")
SMALL = saved(pattern(60, 40), "PNG")
PHOTO = saved(pattern(80, 120), "JPEG", exif=turned_exif())


def task(url: str, number: int = 0) -> dict[str, Any]:
    """A task that shows one page of 120 x 80 pixels."""
    item = {"page_index": 0, "page_id": "s/p", "x0": 0, "y0": 0, "width": 120, "height": 80}
    return {
        "data": {
            "pinpoint_id": f"s/{number}",
            "schema_version": 1,
            "question": "?",
            "answers": "!",
            "pages": [url],
            "items": [item | {"page_width": 120, "page_height": 80}],
            "prelabel": None,
        }
    }


def codes(url: str, **sample: Any) -> list[Code]:
    return [finding.kind for finding in findings([task(url)], None, ImageSample(**sample))]


@contextmanager
def host(answers: dict[str, tuple[int, str, bytes]]) -> Iterator[str]:
    """A web server with some answers: status, content type, body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = answers.get(self.path, (404, "text/plain", b"none"))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if status == 302:
                self.send_header("Location", body.decode())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (uri(PNG), []),
        (uri(PHOTO), []),
        (uri(SMALL), [Code.IMAGE_SIZE]),
        (uri(b"no image"), [Code.IMAGE_DAMAGED]),
        (uri(PNG[:40]), [Code.IMAGE_DAMAGED]),
        ("data:image/png;base64,###", [Code.IMAGE_DAMAGED]),
        ("data:image/png,raw", [Code.IMAGE_DAMAGED]),
        ("data:image/png;base64", [Code.IMAGE_DAMAGED]),
    ],
)
def test_data_uris(url: str, expected: list[Code]) -> None:
    assert codes(url) == expected


def test_local_files_are_looked_up_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "root" / "pages").mkdir(parents=True)
    (tmp_path / "root" / "pages" / "ü 1.png").write_bytes(PNG)
    (tmp_path / "root" / "pages" / "small.png").write_bytes(SMALL)
    (tmp_path / "secret.png").write_bytes(PNG)
    (tmp_path / "root" / "pages" / "link.png").symlink_to(tmp_path / "secret.png")
    expected = {
        "pages/%C3%BC%201.png": [],
        "pages/small.png": [Code.IMAGE_SIZE],
        "pages/none.png": [Code.IMAGE_MISSING],
        "pages": [Code.IMAGE_MISSING],
        "pages/link.png": [Code.IMAGE_OUTSIDE],
    }
    found = {d: codes(f"/data/local-files/?d={d}", document_root=tmp_path / "root") for d in expected}
    assert found == expected


@pytest.mark.parametrize(
    "url", ["/data/local-files/?d=pages/a.png", "/data/upload/1/a.png", "s3://bucket/a.png", "gs://bucket/a.png"]
)
def test_what_cannot_be_asked_for_is_said(url: str) -> None:
    (finding,) = findings([task(url)], None, ImageSample())
    assert (finding.kind, finding.severity) == (Code.IMAGE_UNCHECKED, "info")


def test_addresses_are_fetched() -> None:
    answers = {
        "/good.png": (200, "image/png", PNG),
        "/small.png": (200, "image/png", SMALL),
        "/moved.png": (302, "text/plain", b"/good.png"),
        "/loop.png": (302, "text/plain", b"/loop.png"),
        "/login": (200, "text/html; charset=utf-8", b"<html>please log in"),
        "/broken.png": (200, "image/png", b"x"),
    }
    expected = {
        "/good.png": [],
        "/moved.png": [],
        "/small.png": [Code.IMAGE_SIZE],
        "/loop.png": [Code.IMAGE_UNREACHABLE],
        "/login": [Code.IMAGE_UNREACHABLE],
        "/broken.png": [Code.IMAGE_DAMAGED],
        "/none.png": [Code.IMAGE_UNREACHABLE],
    }
    with host(answers) as url:
        assert {path: codes(url + path) for path in expected} == expected
    assert codes(url + "/good.png") == [Code.IMAGE_UNREACHABLE]
    (finding,) = findings([task(url + "/good.png")], None, ImageSample())
    assert "LOCAL_FILES" not in finding.to_json()["remedy"] and "address" in finding.to_json()["remedy"]


@pytest.mark.parametrize(
    ("status", "said"), [(403, "LOCAL_FILES_SERVING_ENABLED"), (404, "storage"), (401, "SERVING_ENABLED"), (None, "")]
)
def test_the_server_is_asked_and_what_to_set_is_said(status: int | None, said: str) -> None:
    class RefusedError(PinpointError):
        def __init__(self) -> None:
            super().__init__(f"answers {status}")
            self.status = status

    def fetch(path: str) -> bytes:
        assert path == "/data/local-files/?d=pages/a.png"
        raise RefusedError

    (finding,) = findings([task("/data/local-files/?d=pages/a.png")], None, ImageSample(fetch=fetch))
    assert finding.kind == Code.IMAGE_UNREACHABLE
    assert said in finding.to_json()["remedy"]


def test_the_server_gives_the_image() -> None:
    assert codes("/data/upload/1/a.png", fetch=lambda path: PNG) == []
    assert codes("/data/upload/1/a.png", fetch=lambda path: SMALL) == [Code.IMAGE_SIZE]


def test_other_hosts_are_not_asked_through_the_server() -> None:
    def fetch(path: str) -> bytes:
        raise AssertionError(path)

    with host({"/a.png": (200, "image/png", PNG)}) as url:
        assert codes(url + "/a.png", fetch=fetch) == []


def sampled(count: int, size: int) -> list[Finding]:
    payloads = [task(f"/data/local-files/?d=pages/{n}.png", n) for n in range(count)]
    return findings(payloads, None, ImageSample(size, Path("/nonexistent")))


def test_a_sample_is_looked_at_and_it_is_always_the_same() -> None:
    assert len(sampled(200, 7)) == 7
    assert sampled(200, 7) == sampled(200, 7)
    assert sampled(200, 0) == []
    assert len(sampled(3, 20)) == 3


def test_a_page_of_many_questions_is_looked_at_once() -> None:
    payloads = [task("/data/local-files/?d=pages/1.png", n) for n in range(9)]
    assert len(findings(payloads, None, ImageSample(20, Path("/nonexistent")))) == 1
