"""What a server's answer means when it is not a good one."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx2

from pinpoint_data.errors import PinpointError, one_line

_SHOWN = 300
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


class ServerError(PinpointError):
    """A Label Studio server cannot be used."""

    def __init__(self, message: str, *, status: int | None = None, **where: Any) -> None:
        super().__init__(message, **where)
        self.status = status


class RefusedError(ServerError):
    """The server said no (4xx); nothing was done."""


class AnswerLostError(ServerError):
    """The request may have been carried out or not: a broken connection, a time-out, a 5xx.

    Attributes:
        status: The HTTP status, or None when no answer came.
    """

    @property
    def ended(self) -> bool:
        """Whether the server has finished with the request: a gateway's 502 or 504 does not say so."""
        return self.status == 500


def brief(response: httpx2.Response, body: bytes) -> str:
    """The point of an answer in one short line: Label Studio's errors repeat whole tasks.

    Secrets are not masked yet.
    """
    text = body.decode("utf-8", "replace")
    if "html" in response.headers.get("Content-Type", ""):
        title = _TITLE.search(text)
        return cut(f"a web page {title.group(1).strip()!r}" if title else "a web page")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return cut(text)
    if isinstance(said, dict):
        # `validation_errors` is the point; `detail` beside it only says "Validation error".
        said = said.get("validation_errors") or said.get("detail") or said
    if isinstance(said, dict):
        said = said.get("non_field_errors") or said
    while isinstance(said, list) and len(said) == 1:
        said = said[0]
    return cut(said if isinstance(said, str) else json.dumps(said, ensure_ascii=False))


def cut(text: str, shown: int = _SHOWN) -> str:
    """`text` on one line, shortened."""
    line = " ".join(one_line(text[: 4 * shown]).split())
    return line if len(line) <= shown else f"{line[:shown]} ..."


def refusal(url: str, method: str, path: str, response: httpx2.Response, text: str) -> ServerError:
    """The error for an answer of 3xx or 4xx: what it means and what to do."""
    status = response.status_code
    if response.is_redirect:
        place = one_line(response.headers.get("Location", "another place"))
        return ServerError(f"sends us on to {cut(place)}", file=url, status=status, remedy="use that address")
    if status == 401:
        return _unauthorized(url, path, text)
    if status == 403:
        return RefusedError(
            f"does not allow {method} {path}: {text}", file=url, status=status, remedy="use the key of a member"
        )
    if status == 404 and "html" in response.headers.get("Content-Type", ""):
        return RefusedError(
            f"has no {path}; it answers with {text}",
            file=url,
            status=status,
            remedy="is this the address of a Label Studio, with the path it stands under?",
        )
    if status == 429:
        return RefusedError(f"is asked too often: {text}", file=url, status=status, remedy="wait and run it again")
    return RefusedError(f"refuses {method} {path} ({status}): {text}", file=url, status=status)


def _unauthorized(url: str, path: str, text: str) -> RefusedError:
    if "legacy token authentication has been disabled" in text:
        message = "has switched off legacy tokens"
        remedy = "use a personal access token (Account & Settings), or allow legacy tokens under Organization"
    elif path == "/api/token/refresh/":
        message = f"does not accept this personal access token: {text}"
        remedy = "make a new one under Account & Settings; was this one made on another server?"
    else:
        message = f"does not accept the key: {text}"
        remedy = "copy it again from Account & Settings; was it made on another server?"
    return RefusedError(message, file=url, status=401, remedy=remedy)
