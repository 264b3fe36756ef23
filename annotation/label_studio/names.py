"""What annotators are called: `label-studio:<user id>`, unless the user gives names.

E-mail addresses are personal data. They identify a user while an export is read (drafts carry nothing else) and reach
no table: a user known by address alone is called by a hash of it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotation.judgements import GOLD, PROPOSAL
from pinpoint_data.errors import UsageError
from pinpoint_data.small_files import read_small_text

PREFIX = "label-studio:"
UNKNOWN = "unknown"
_EXAMPLE = 'CSV with the header "id,email,name" (id or email may be missing), or JSON {"4": "anna"}'


class Names:
    """Users of a Label Studio and their names.

    A user's key is the text of their id, `email-<hash>` where only the address is known, or `unknown`.

    Args:
        given: User id (as text) or e-mail address -> name.
        users: E-mail addresses by user id, where the server told them.
    """

    def __init__(self, given: Mapping[str, str] | None = None, users: Mapping[int, str] | None = None) -> None:
        self._names: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._emails: dict[str, list[str]] = {}
        for user, email in (users or {}).items():
            self.learn(user, email)
        for who, name in (given or {}).items():
            self._names[_email_key(who) if "@" in who else who.strip()] = name
        self._given = {name for who, name in (given or {}).items() if "@" not in who}

    def learn(self, user: object, email: object) -> None:
        """Remember that a user has this address, so that drafts and annotations of one person meet."""
        if isinstance(email, str) and email and isinstance(user, int) and not isinstance(user, bool):
            key = _email_key(email)
            if self._ids.get(key) != str(user):
                self._ids[key] = str(user)
                self._emails.setdefault(str(user), []).append(key)

    def remember(self, key: str, annotator: str) -> None:
        """Keep the name that a user has in the tables already, unless it was given to somebody else since."""
        if annotator not in self._given:
            self._names.setdefault(key, annotator)

    def key(self, user: Any) -> str:
        """The key of a user as annotations (an id, or an object) and drafts (an address) name them."""
        if isinstance(user, dict):
            self.learn(user.get("id"), user.get("email"))
            user = user.get("id", user.get("email"))
        if isinstance(user, int) and not isinstance(user, bool):
            return str(user)
        if isinstance(user, str) and user:
            return self.now(_email_key(user))
        return UNKNOWN

    def now(self, key: str) -> str:
        """The key under which this user is known now: their id, once it is known."""
        return self._ids.get(key, key)

    def name(self, key: str) -> str:
        """What the user of this key is called."""
        known = (self._names[one] for one in (key, *self._emails.get(key, ())) if one in self._names)
        return next(known, PREFIX + key)


def _email_key(email: str) -> str:
    return "email-" + hashlib.sha256(email.strip().lower().encode("utf-8", "replace")).hexdigest()[:12]


def read_names(path: Path) -> dict[str, str]:
    """Names by user id or e-mail address, from a CSV or JSON file.

    Raises:
        UsageError: The file cannot be read, is neither, or gives two users one name or one user two.
    """
    try:
        text = read_small_text(path).removeprefix("\ufeff")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", file=path, remedy=_EXAMPLE) from error
    found: dict[str, str] = {}
    people: dict[str, int] = {}
    pairs = _json_names(text, path) if text.lstrip().startswith("{") else _csv_names(text, path)
    for place, (who, name) in pairs:
        _check(who, name, path)
        if found.setdefault(who, name) != name:
            raise UsageError(f"calls {who!r} both {found[who]!r} and {name!r}", file=path)
        if people.setdefault(name, place) != place:
            raise UsageError(f"calls two users {name!r}", file=path, remedy="give each a name of their own")
    return found


def _check(who: str, name: str, path: Path) -> None:
    # The default name of one user must not become another's.
    taken = name.startswith(PREFIX) and name != PREFIX + who
    if not name or not name.isprintable() or name.startswith((GOLD, PROPOSAL)) or taken:
        raise UsageError(
            f"the name {name!r} of {who!r} cannot be used",
            file=path,
            remedy=f"a name is printable text that does not begin with {GOLD}, {PROPOSAL} or {PREFIX}",
        )


def _json_names(text: str, path: Path) -> list[tuple[int, tuple[str, str]]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"is no valid JSON: {error}", file=path, remedy=_EXAMPLE) from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise UsageError("must be an object of names", file=path, remedy=_EXAMPLE)
    names = [name.strip() for name in found.values()]
    # An id and an address of one person may stand side by side: they have one name and count as one line.
    first: dict[tuple[str, bool], int] = {}
    pairs = []
    for place, (who, name) in enumerate(zip(found, names, strict=True)):
        again = first.setdefault((name, "@" in who), place) != place
        pairs.append((place if again else names.index(name), (who.strip(), name)))
    return pairs


def _csv_names(text: str, path: Path) -> list[tuple[int, tuple[str, str]]]:
    rows = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    try:
        header = set(rows.fieldnames or ())
    except csv.Error as error:
        raise UsageError(f"is no valid CSV: {error}", file=path, remedy=_EXAMPLE) from error
    if "name" not in header or not header & {"id", "email"}:
        raise UsageError(f"has the columns {', '.join(sorted(header)) or 'none'}", file=path, remedy=_EXAMPLE)
    try:
        return [
            (place, ((row[column] or "").strip(), (row["name"] or "").strip()))
            for place, row in enumerate(rows)
            for column in ("id", "email")
            if (row.get(column) or "").strip()
        ]
    except csv.Error as error:
        raise UsageError(f"is no valid CSV: {error}", file=path, remedy=_EXAMPLE) from error
