"""What is a fault: of a command's end, its words, its time and memory, and of what it left on the disk."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from pathlib import Path

from tests.campaigns.hostile.accounts import summary
from tests.campaigns.hostile.cases import SECRET, Case
from tests.campaigns.hostile.forks import CPU_SECONDS, Done

MEMORY = 1536 * 2**20
_SECRET = SECRET.split()[-1]
_ERROR = re.compile(r"^pinpoint: .+\n\Z")


def fault_of(case: Case, done: Done) -> str | None:
    """What is wrong with how a command ended, if anything is."""
    for check in (_end, _words, _limits, _summary):
        if fault := check(case, done):
            return fault
    return None


def _end(case: Case, done: Done) -> str | None:
    if done.code is None:
        return f"ended by signal {done.signal} after {done.seconds:.0f} s"
    if done.code not in (0, 1, 2):
        return f"exit code {done.code}"
    return None


def _words(case: Case, done: Done) -> str | None:
    said = done.stderr.decode("utf-8", "replace")
    for sign in ("Traceback", "internal error", "Warning:", "Exception ignored", "core dumped"):
        if sign in said:
            return f"{sign}: {said.strip().splitlines()[-1][:300]}"
    if _SECRET in done.stdout + done.stderr:
        return "shows what stands outside its folder"
    for text in (done.stdout.decode("utf-8", "replace"), said):
        if found := next((c for c in text if unicodedata.category(c) == "Cc" and c not in "\n\r\t"), None):
            return f"prints the control character {found!r}"
    if done.code and not done.stdout.strip():
        return _error_line(case, said)
    return None


def _error_line(case: Case, said: str) -> str | None:
    """An error is one line that names a file of the case."""
    lines = [line for line in said.splitlines() if line.strip()]
    if not lines:
        return "failed without a word"
    if lines[0].startswith("Usage:"):
        return None if done_by_click(lines) else "misuse without an error line"
    line = lines[-1]
    if not line.startswith("pinpoint: "):
        return f"no error line: {line[:200]}"
    if len(line) > 3000:
        return f"an error line of {len(line):,} characters"
    names = "|".join(map(re.escape, (*Path(case.file).parts, str(case.folder), "ws", "dataset", "root", "run")))
    return None if re.search(rf"(?<![\w-])({names})(?![\w-])", line) else f"names no file: {line[:200]}"


def done_by_click(lines: list[str]) -> bool:
    """Whether click itself refused an argument."""
    return any(line.startswith("Error: ") for line in lines)


def _limits(case: Case, done: Done) -> str | None:
    if done.bytes > MEMORY:
        return f"took {done.bytes / 2**20:,.0f} MiB"
    if done.seconds > 1.5 * CPU_SECONDS:
        return f"took {done.seconds:.0f} s"
    return None


def _summary(case: Case, done: Done) -> str | None:
    if "--json" in done.arguments:
        try:
            summary(done)
        except ValueError as error:
            return f"--json printed no JSON: {error}"
    if done.arguments == tuple(case.commands()[0]) and case.kind.account and done.code in (0, 1):
        try:
            return case.kind.account(case.folder, done)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError) as error:
            return f"its records cannot be counted: {error!r}"
    return None


def state(folder: Path) -> dict[str, str]:
    """What stands below a folder: kind, permissions and content of everything."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = ""
        if stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)  # noqa: PTH115 - as it stands, also where it leads nowhere
        found[path.relative_to(folder).as_posix()] = f"{stat.filemode(status.st_mode)} {content}"
    return found


def disk_fault(case: Case, before: dict[str, str]) -> str | None:
    """What was changed beside the case's folder, or left in it with careless permissions."""
    place = case.folder.parent
    if state(place / "outside") != before:
        return "changed what stands outside its folder"
    if extra := {path.name for path in place.iterdir()} - {"in", "outside", "stdout", "stderr"}:
        return f"wrote {sorted(extra)} beside its folder"
    for path in case.folder.rglob("*"):
        status = path.lstat()
        if not stat.S_ISLNK(status.st_mode) and status.st_mode & 0o022:
            return f"{path.relative_to(case.folder)} can be written by others"
        if stat.S_ISREG(status.st_mode) and status.st_size < 10_000_000 and _SECRET in path.read_bytes():
            return f"{path.relative_to(case.folder)} holds what stands outside"
    return None
