"""The connection to a server: keys, addresses, what is repeated and what is not, and errors that say what to do."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.label_studio.answers import cut
from annotation.label_studio.api_key import ApiKey, clean_url, is_local, load_api_key, masked, plain_http_warning
from annotation.label_studio.server import WAITS_S, AnswerLostError, RefusedError, Server, ServerError
from pinpoint_data.errors import UsageError
from tests.annotation.fake_server import KEY, REFRESH, FakeLabelStudio
from tests.annotation.server import LabelStudio


@pytest.fixture
def server(fake: FakeLabelStudio) -> Iterator[Server]:
    with Server(fake.url, ApiKey(KEY), sleep=fake.sleep) as connected:
        yield connected


@pytest.mark.parametrize("kind", ["500-before", "502-before", "reset-before", "500-after", "reset-after"])
def test_a_get_is_repeated_with_growing_waits(fake: FakeLabelStudio, server: Server, kind: str) -> None:
    fake.fault("GET", "/api/users/", kind, times=3)
    assert server.users() == {1: "a@example.com"}
    assert fake.slept == list(WAITS_S[:3])


def test_a_get_is_given_up_at_last(fake: FakeLabelStudio, server: Server) -> None:
    fake.fault("GET", "/api/users/", "502-before", times=50)
    with pytest.raises(AnswerLostError, match="answers 502 to GET /api/users/: no luck"):
        server.users()
    assert fake.slept == list(WAITS_S)


def test_a_project_that_a_broken_text_makes_unreadable(fake: FakeLabelStudio, server: Server) -> None:
    fake.fault("GET", "/api/tasks/", "500-before", times=50)
    with pytest.raises(AnswerLostError) as caught:
        server.get_json("/api/tasks/", project=1)
    assert "surrogate" in (caught.value.remedy or "")


@pytest.mark.parametrize("kind", ["500-after", "502-after", "reset-after", "reset-before"])
def test_a_post_is_never_repeated(fake: FakeLabelStudio, server: Server, kind: str) -> None:
    fake.fault("POST", "/api/projects/", kind)
    with pytest.raises(AnswerLostError) as caught:
        server.post_json("/api/projects/", {"title": "one"})
    assert fake.taken("POST", "/api/projects/") == 1
    assert len(fake.projects) == (0 if kind == "reset-before" else 1)
    assert caught.value.ended == (kind == "500-after")


def test_a_post_without_an_answer_in_time_is_lost(fake: FakeLabelStudio, server: Server) -> None:
    fake.fault("POST", "/api/projects/", "silent")
    with pytest.raises(AnswerLostError, match="gives no answer"):
        server.post_json("/api/projects/", {"title": "one"}, timeout_s=0.2)
    assert fake.taken("POST", "/api/projects/") == 1


def test_a_server_that_asks_for_patience_gets_it(fake: FakeLabelStudio, server: Server) -> None:
    fake.fault("POST", "/api/projects/", "429")
    assert server.post_json("/api/projects/", {"title": "one"})["title"] == "one"
    assert fake.slept == [7.0]


def test_a_personal_token_is_exchanged_and_renewed(fake: FakeLabelStudio) -> None:
    with Server(fake.url, ApiKey(REFRESH), sleep=fake.sleep) as server:
        server.users()
        server.users()
        assert fake.taken("POST", "/api/token/refresh/") == 1
        fake.access = "access-2"  # the first one has expired
        assert server.users() == {1: "a@example.com"}
        assert fake.taken("POST", "/api/token/refresh/") == 2


@pytest.mark.parametrize(
    ("key", "says"), [("f" * 40, "does not accept the key"), ("aa.bb.cc", "personal access token")]
)
def test_a_wrong_key_is_named_and_not_shown(fake: FakeLabelStudio, key: str, says: str) -> None:
    with Server(fake.url, ApiKey(key), sleep=fake.sleep) as server, pytest.raises(RefusedError, match=says) as caught:
        server.me()
    assert caught.value.status == 401
    assert key not in str(caught.value) and not fake.slept


def test_a_server_that_repeats_the_key_in_its_error(fake: FakeLabelStudio) -> None:
    for key in (KEY, REFRESH):
        with Server(fake.url, ApiKey(key), sleep=fake.sleep) as server:
            server.me()
            fake.fault("POST", "/api/projects/", "echo")
            with pytest.raises(AnswerLostError) as caught:
                server.post_json("/api/projects/", {"title": "one"})
            text = f"{caught.value!s} {caught.value!r} {server!r} {caught.value.__cause__!r}"
            assert "headers were" in text
            assert key not in text and fake.access not in text


def test_a_web_page_is_no_label_studio(fake: FakeLabelStudio, server: Server) -> None:
    fake.fault("GET", "/api/users/", "html")
    with pytest.raises(RefusedError, match=r"'Not here'.*is this the address of a Label Studio"):
        server.users()


def test_an_error_of_megabytes_is_cut(fake: FakeLabelStudio, server: Server) -> None:
    fake.fault("POST", "/api/projects/", "huge")
    with pytest.raises(RefusedError) as caught:
        server.post_json("/api/projects/", {})
    assert len(str(caught.value)) < 500


def test_no_server_fails_at_once() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    slept: list[float] = []
    with Server(url, ApiKey(KEY), sleep=slept.append) as server, pytest.raises(ServerError, match="cannot be reached"):
        server.me()
    assert not slept


def test_a_file_is_whole_or_not_there(fake: FakeLabelStudio, server: Server, tmp_path: Path) -> None:
    target = tmp_path / "export.json"
    fake.fault("GET", "/api/users/", "reset-before", times=2)
    assert server.stream_to_file("/api/users/", target) == target.stat().st_size > 0
    fake.fault("GET", "/api/users/", "401")
    with pytest.raises(RefusedError):
        server.stream_to_file("/api/users/", tmp_path / "other.json")
    assert [path.name for path in tmp_path.iterdir()] == ["export.json"]


def test_nothing_is_logged_that_opens_the_server(
    fake: FakeLabelStudio, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        for key in (KEY, REFRESH):
            with Server(fake.url, ApiKey(key)) as server:
                server.users()
    out = caplog.text + "".join(capsys.readouterr())
    assert KEY not in out and REFRESH not in out and fake.access not in out


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_text(KEY, encoding="ascii")
    path.chmod(mode)
    with pytest.raises(UsageError, match=r"chmod 600") as caught:
        load_api_key(path)
    assert KEY not in str(caught.value)


def test_where_a_key_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    path.write_text(f"{REFRESH}\n", encoding="ascii")
    path.chmod(0o600)
    assert load_api_key(path).kind == "personal"
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", KEY)
    assert load_api_key().kind == "legacy" and load_api_key(path).reveal() == REFRESH
    monkeypatch.delenv("LABEL_STUDIO_API_KEY")
    with pytest.raises(UsageError, match="LABEL_STUDIO_API_KEY"):
        load_api_key()
    with pytest.raises(UsageError, match="cannot be read"):
        load_api_key(tmp_path / "none")


@given(st.text(max_size=60))
def test_a_key_shows_itself_nowhere(text: str) -> None:
    try:
        key = ApiKey(text)
    except UsageError as error:
        assert len(text.strip()) < 4 or text.strip() not in str(error)
        return
    assert key.reveal().isascii() and " " not in key.reveal() and len(key.reveal()) > 0
    assert repr(key) == str(key) == f"ApiKey({key.kind})"


BAD_URLS = ["", "//host", "ftp://host", "host:8080", "http://", "http://host:x", "http://host?x=1", "http://ho st"]


@pytest.mark.parametrize("url", [*BAD_URLS, "http://host#x", "http://[::1", "http://host\x00", "javascript:alert(1)"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageError):
        clean_url(url)


@pytest.mark.parametrize("url", ["https://user:secret@host", "https://secret@host/x", "http://:secret@host"])
def test_credentials_in_an_address_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="name or password") as caught:
        clean_url(url)
    assert "secret" not in str(caught.value)


def test_which_addresses_make_a_key_readable() -> None:
    assert clean_url(" https://host:8080/label-studio/ ") == "https://host:8080/label-studio"
    assert all(map(is_local, ["http://localhost:8080", "http://127.0.0.7", "http://[::1]:80", "http://ls.localhost"]))
    assert plain_http_warning("http://127.0.0.1:8080") is None is plain_http_warning("https://example.com")
    assert "unencrypted" in (plain_http_warning("http://192.168.1.4:8080") or "")


def test_masks_and_cuts() -> None:
    assert masked("a KEY b KEY", "KEY", "") == "a [key] b [key]"
    assert cut("x" * 1000).endswith(" ...") and "\n" not in cut("a\n\nb\x1b[0m") and len(cut("y" * 10**7)) < 400


def test_both_kinds_of_keys_on_a_real_server(label_studio: LabelStudio) -> None:
    for token in (label_studio.token, label_studio.personal_token()):
        with Server(label_studio.url, ApiKey(token)) as server:
            assert server.users()[server.me()["id"]] == label_studio.email
    with Server(label_studio.url, ApiKey("0" * 40)) as server, pytest.raises(RefusedError, match="does not accept"):
        server.me()
    with (
        Server(f"{label_studio.url}/x", ApiKey(label_studio.token)) as server,
        pytest.raises(RefusedError, match="404"),
    ):
        server.me()
