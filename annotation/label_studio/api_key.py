"""The key of a Label Studio server: where it may come from, and how it stays out of everything we write.

It comes from LABEL_STUDIO_API_KEY or from a file that nobody else can read; never from the command line, where every
user of the machine sees it, nor from the address, which ends up in logs.
"""

from __future__ import annotations

import ipaddress
import os
import stat
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pinpoint_data.errors import UsageError, one_line

VARIABLE = "LABEL_STUDIO_API_KEY"
_MAX_KEY_CHARACTERS = 4096
_HIDDEN = "[key]"


class ApiKey:
    """A secret that shows itself nowhere: neither `str`, `repr` nor a traceback holds it.

    Attributes:
        kind: `personal` is a refresh token (a JWT), exchanged for access tokens; `legacy` is sent as it is.
    """

    def __init__(self, text: str, origin: str = "the key") -> None:
        text = text.strip()
        if not text:
            raise UsageError(f"{origin} is empty", remedy="copy a token from Label Studio: Account & Settings")
        # Anything else would break, or add to, the request's headers; the text itself is never repeated.
        if len(text) > _MAX_KEY_CHARACTERS or not (text.isascii() and text.isprintable()) or " " in text:
            raise UsageError(f"{origin} is no token", remedy="it must be one line of letters, digits and marks")
        self._text = text
        self.kind: Literal["personal", "legacy"] = "personal" if text.count(".") == 2 else "legacy"

    def reveal(self) -> str:
        """The secret, for a request's header or body and nothing else."""
        return self._text

    def __repr__(self) -> str:
        return f"ApiKey({self.kind})"


def load_api_key(key_file: Path | None = None) -> ApiKey:
    """The key from a file, or from the environment where no file is named.

    Raises:
        UsageError: There is none, others can read the file, or it holds no token.
    """
    if key_file is not None:
        return _from_file(key_file)
    text = os.environ.get(VARIABLE)
    if text is None:
        raise UsageError(
            "no key for Label Studio",
            remedy=f"set {VARIABLE}, or name a file with --key-file; the key is under Account & Settings",
        )
    return ApiKey(text, VARIABLE)


def _from_file(path: Path) -> ApiKey:
    try:
        with path.open("rb") as handle:
            # Of the opened file, so that nobody can swap it between the look and the reading.
            status = os.fstat(handle.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UsageError("is not a regular file", file=path)
            if os.name != "nt" and stat.S_IMODE(status.st_mode) & 0o077:
                raise UsageError("can be read by other users of this machine", file=path, remedy=f"chmod 600 {path}")
            data = handle.read(_MAX_KEY_CHARACTERS + 2)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror or error}", file=path) from error
    return ApiKey(data.decode("ascii", "replace"), str(path))


def clean_url(url: str) -> str:
    """An address without a slash at the end, checked.

    Raises:
        UsageError: It is no http(s) address, or holds a name, a password, a query or a fragment.
    """
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError("the address of the server cannot be read", remedy="use http(s)://HOST[:PORT]") from error
    if parts.username is not None or parts.password is not None:
        # The address is not repeated: it holds a secret.
        raise UsageError(
            "the address of the server holds a name or password",
            remedy=f"leave it out; the key belongs into {VARIABLE} or --key-file",
        )
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or " " in url.strip():
        raise UsageError(f"{one_line(url)!r} is no address of a server", remedy="use http(s)://HOST[:PORT]")
    if parts.query or parts.fragment:
        raise UsageError("the address of the server holds '?' or '#'", remedy="use http(s)://HOST[:PORT]")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def is_local(url: str) -> bool:
    """Whether an address is of this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def plain_http_warning(url: str) -> str | None:
    """What to say when the key would travel readable through a network."""
    if urlsplit(url).scheme == "https" or is_local(url):
        return None
    return f"{url}: the key is sent unencrypted; everybody on the way can read it (use https)"


def masked(text: str, *secrets: str) -> str:
    """`text` with every secret replaced; what a server answers may repeat what it was sent."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, _HIDDEN)
    return text
