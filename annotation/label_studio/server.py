"""A Label Studio server over HTTP: both kinds of tokens, repeats only where they are harmless, errors with a remedy.

Whatever may be asked twice (GET, PATCH, DELETE) is repeated with growing waits after a 5xx, a time-out or a broken
connection. A POST never is: Label Studio makes everything again when asked again. When the answer to one is lost the
caller gets `AnswerLostError`, looks at what the server has, and sends only what is missing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2

from annotation.label_studio.answers import AnswerLostError, RefusedError, ServerError, brief, refusal
from annotation.label_studio.api_key import ApiKey, clean_url, masked
from pinpoint_data.atomic import atomic_path

__all__ = ["AnswerLostError", "RefusedError", "Server", "ServerError"]

WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
IMPORT_TIMEOUT_S = 300.0
_TIMEOUT = httpx2.Timeout(60.0, connect=10.0)
# Access tokens live five minutes.
_ACCESS_TOKEN_S = 240.0
_MAX_ERROR_BYTES = 65_536
_MAX_RETRY_AFTER_S = 60.0
_UNREADABLE = (
    "look into the server's log; one task that somebody imported with half a surrogate pair in its text makes all "
    "lists and exports of the project fail until it is deleted"
)
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


class Server:
    """A connection to one server. Use it as a context manager, or `close` it.

    Args:
        url: Its address; a path is allowed (`https://example.com/label-studio`).
        key: A personal or a legacy token.
        sleep: What waits between repeats; for tests.
    """

    def __init__(self, url: str, key: ApiKey, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.url = clean_url(url)
        self._key = key
        self.sleep = sleep
        self._access = ""
        self._access_until = 0.0
        self._reached = False
        # A connection that idled may be closed by the server just when it is used again, which looks like a lost
        # answer; only those of a burst of requests are kept.
        limits = httpx2.Limits(max_connections=4, keepalive_expiry=1.0)
        # Reading the certificates takes longer than most requests, and plain http needs none.
        verify = self.url.startswith("https:")
        self._client = httpx2.Client(timeout=_TIMEOUT, limits=limits, follow_redirects=False, verify=verify)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Server({self.url!r}, {self._key!r})"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get_json(self, path: str, **params: Any) -> Any:
        """What GET answers; parameters that are None are left out."""
        return self.request("GET", path, params=params)

    def post_json(
        self, path: str, body: Any, *, params: Mapping[str, Any] | None = None, timeout_s: float | None = None
    ) -> Any:
        """What POST answers; it is sent once.

        Raises:
            AnswerLostError: It may have been carried out or not.
        """
        return self.request("POST", path, params=params, body=body, repeat=False, timeout_s=timeout_s)

    def patch_json(self, path: str, body: Any) -> Any:
        """What PATCH answers."""
        return self.request("PATCH", path, body=body)

    def delete(self, path: str) -> None:
        """Delete; what is gone already is fine."""
        try:
            self.request("DELETE", path)
        except RefusedError as error:
            if error.status != 404:
                raise

    def fetch(self, path: str) -> bytes:
        """The bytes of a file that the server gives out."""
        with self._answer("GET", path, {}, {}, repeat=True) as response:
            return response.read()

    def stream_to_file(self, path: str, target: Path, **params: Any) -> int:
        """Save what GET answers, in bounded memory; the file is whole or not there. Returns its bytes."""
        for wait in (*WAITS_S, None):
            try:
                with (
                    self._answer("GET", path, params, {"timeout": IMPORT_TIMEOUT_S}, repeat=True) as response,
                    atomic_path(target) as beside,
                    beside.open("wb") as handle,
                ):
                    for piece in response.iter_bytes(1 << 20):
                        handle.write(piece)
                    return handle.tell()
            except httpx2.RequestError as error:
                if wait is None:
                    raise self._lost("GET", path, str(error) or type(error).__name__) from error
                self.sleep(wait)
        raise AssertionError("the last wait is None")

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        files: Any = None,
        repeat: bool = True,
        timeout_s: float | None = None,
    ) -> Any:
        """One request and its JSON answer (None where the answer is empty).

        Args:
            method: GET, POST, ...
            path: Below the server's address, with the slash at its end where Label Studio has one.
            params: For the query; None values are left out.
            body: Sent as JSON.
            files: Sent as multipart form, as httpx takes them.
            repeat: Whether asking twice is harmless.
            timeout_s: How long to wait for the answer.

        Raises:
            RefusedError: The server said no (4xx); nothing was done.
            AnswerLostError: The request may have been carried out.
            ServerError: No server, or no Label Studio.
        """
        extra: dict[str, Any] = {"files": files}
        if body is not None:
            # NaN would be a 400 for the whole list; the text is ASCII so that no surrogate can end the encoding.
            extra = {"content": json.dumps(body, allow_nan=False), "headers": {"Content-Type": "application/json"}}
        if timeout_s is not None:
            extra["timeout"] = httpx2.Timeout(timeout_s, connect=10.0)
        with self._answer(method, path, params or {}, extra, repeat=repeat) as response:
            try:
                text = response.read()
            except httpx2.RequestError as error:
                raise self._lost(method, path, str(error) or type(error).__name__) from error
            if not text:
                return None
            try:
                return json.loads(text)
            except (ValueError, RecursionError) as error:
                raise ServerError(
                    f"answers {method} {path} with something that is no JSON: {self._mask(brief(response, text))}",
                    file=self.url,
                    remedy="is this the address of a Label Studio?",
                ) from error

    def users(self) -> dict[int, str]:
        """E-mail addresses of the server's users, by id."""
        return {int(user["id"]): str(user.get("email") or "") for user in self.get_json("/api/users/")}

    def me(self) -> dict[str, Any]:
        """The user whose key this is: `id`, `email`, ..."""
        user: dict[str, Any] = self.get_json("/api/current-user/whoami")
        return user

    def project(self, wanted: str | int) -> dict[str, Any]:
        """A project by its id (digits) or its exact title.

        Raises:
            ServerError: There is none, or several have this title.
        """
        from annotation.label_studio.projects import find_project

        found = find_project(self, str(wanted))
        if found is None:
            raise ServerError(f"has no project {wanted!r}", file=self.url, remedy="push to it first, or name its id")
        return found

    @contextmanager
    def _answer(
        self, method: str, path: str, params: Mapping[str, Any], extra: Mapping[str, Any], *, repeat: bool
    ) -> Iterator[httpx2.Response]:
        """A good answer, not read yet; everything else is repeated or raised."""
        response = self._ask(method, path, params, extra, repeat=repeat)
        try:
            yield response
        finally:
            response.close()

    def _ask(
        self, method: str, path: str, params: Mapping[str, Any], extra: Mapping[str, Any], *, repeat: bool
    ) -> httpx2.Response:
        renewed = False
        waits = iter(WAITS_S)
        while True:
            failure: ServerError
            wait = next(waits, None)
            try:
                response = self._send(method, path, params, extra)
            except _NOT_SENT as error:
                failure = ServerError(
                    f"cannot be reached: {self._mask(str(error))}",
                    file=self.url,
                    remedy="is it running, and the port right?",
                )
                # A wrong address fails at once; a server that is just restarting gets its time.
                again = self._reached
            except httpx2.RequestError as error:
                failure, again = self._lost(method, path, str(error) or type(error).__name__), repeat
            else:
                self._reached = True
                if response.is_success:
                    return response
                text = self._error_text(response)
                if response.status_code == 401 and self._key.kind == "personal" and not renewed:
                    renewed, self._access = True, ""
                    continue
                if response.status_code == 429:
                    wait = max(wait or 0.0, _retry_after(response)) if wait is not None else None
                    failure, again = refusal(self.url, method, path, response, text), True
                elif response.status_code >= 500:
                    failure, again = self._lost(method, path, text, response.status_code), repeat
                else:
                    raise refusal(self.url, method, path, response, text)
            if not again or wait is None:
                raise failure
            self.sleep(wait)

    def _send(self, method: str, path: str, params: Mapping[str, Any], extra: Mapping[str, Any]) -> httpx2.Response:
        headers = {
            "Authorization": self._authorization(),
            "Accept": "application/json, */*",
            **extra.get("headers", {}),
        }
        rest = {name: value for name, value in extra.items() if name != "headers"}
        query = {name: value for name, value in params.items() if value is not None}
        request = self._client.build_request(method, self.url + path, params=query or None, headers=headers, **rest)
        try:
            return self._client.send(request, stream=True)
        finally:
            # A session cookie would make Django ask for a CSRF token.
            self._client.cookies.clear()

    def _authorization(self) -> str:
        if self._key.kind == "legacy":
            return f"Token {self._key.reveal()}"
        if not self._access or time.monotonic() > self._access_until:
            try:
                response = self._client.post(f"{self.url}/api/token/refresh/", json={"refresh": self._key.reveal()})
            except httpx2.RequestError as error:
                raise httpx2.ConnectError(f"no access token: {error}") from error
            text = self._mask(brief(response, response.content))
            if response.status_code >= 500:
                # What the token is for was not sent yet.
                raise httpx2.ConnectError(f"no access token ({response.status_code}): {text}")
            if not response.is_success:
                raise refusal(self.url, "POST", "/api/token/refresh/", response, text)
            try:
                self._access = str(response.json()["access"])
            except (ValueError, KeyError, TypeError) as error:
                raise ServerError(
                    f"gives no access token: {text}", file=self.url, remedy="is this the address of a Label Studio?"
                ) from error
            self._access_until = time.monotonic() + _ACCESS_TOKEN_S
        return f"Bearer {self._access}"

    def _error_text(self, response: httpx2.Response) -> str:
        """The first part of an error's body: Label Studio repeats whole tasks in it."""
        body = b""
        try:
            for piece in response.iter_bytes():
                body += piece
                if len(body) >= _MAX_ERROR_BYTES:
                    break
        except httpx2.RequestError:
            body = body or b"(the answer broke off)"
        finally:
            response.close()
        return self._mask(brief(response, body[:_MAX_ERROR_BYTES]))

    def _lost(self, method: str, path: str, reason: str, status: int | None = None) -> AnswerLostError:
        said = f"answers {status}" if status else "gives no answer"
        message = f"{said} to {method} {path}: {self._mask(reason)}"
        lists = method == "GET" and status == 500 and (path.startswith("/api/tasks") or path.endswith("/export"))
        return AnswerLostError(message, file=self.url, status=status, remedy=_UNREADABLE if lists else None)

    def _mask(self, text: str) -> str:
        return masked(text, self._key.reveal(), self._access)


def _retry_after(response: httpx2.Response) -> float:
    try:
        return min(max(0.0, float(response.headers.get("Retry-After", "0"))), _MAX_RETRY_AFTER_S)
    except ValueError:
        return 0.0
