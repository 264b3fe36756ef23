"""A case: a fresh copy of a base, with one file of it mutated; and what a kind of case is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.campaigns.hostile.forks import Done

Mutate = Callable[[Random, bytes], bytes]
Bomb = Callable[[], bytes]
Account = Callable[[Path, Done], str | None]
"""Looks at the case's folder and at how its command ended: what is missing in the summary, or None."""

SECRET = b"a secret that no command may read, change or pass on: 5d1f7c\n"


@dataclass(frozen=True)
class Kind:
    """Cases of one kind.

    Attributes:
        name: What it is called.
        base: Fills the folder that a case is a copy of.
        targets: Which files are mutated (a pattern), and how.
        commands: What reads them: each runs on the mutated folder, one after another.
        later: What runs afterwards in every thirtieth case.
        bombs: Files that take the place of a target of the pattern.
        account: Whether the first command's summary covers every record.
        sign: Makes hashes elsewhere in the folder fit again, as a stranger would.
        heavy: Needs torch.
        share: How many cases, relative to other kinds.
    """

    name: str
    base: Callable[[Path], None]
    targets: Mapping[str, Mutate]
    commands: tuple[str, ...]
    later: tuple[str, ...] = ()
    bombs: Mapping[str, tuple[Bomb, ...]] = field(default_factory=dict)
    account: Account | None = None
    sign: Callable[[Path], None] | None = None
    heavy: bool = False
    share: float = 1.0


@dataclass(frozen=True)
class Case:
    """One case, ready to run.

    Attributes:
        kind: Its kind.
        number: Its number in the kind.
        folder: Where the commands run.
        file: The mutated file, relative to the folder.
        how: What was done to it.
    """

    kind: Kind
    number: int
    folder: Path
    file: str
    how: str

    def commands(self) -> list[list[str]]:
        """The arguments of the commands that it runs."""
        later = self.kind.later if self.number % 30 == 29 else ()
        return [command.split() for command in (*self.kind.commands, *later)]


def prepare(kind: Kind, base: Path, place: Path, seed: int, number: int) -> Case:
    """Make the case's folder `place/in` anew, mutated, with something beside it that must stay as it is.

    Args:
        kind: The kind.
        base: The filled folder of its base.
        place: Where cases are run; removed first.
        seed: Of the campaign.
        number: Of the case.
    """
    folder = fresh(base, place)
    random = Random(f"{seed}/{kind.name}/{number}")
    pattern = random.choice(list(kind.targets))
    files = sorted(path for path in folder.glob(pattern) if path.is_file() and not path.is_symlink())
    if not files:
        raise RuntimeError(f"{kind.name}: no file {pattern} in its base")
    target = random.choice(files)
    how = _mutate(kind, pattern, target, random, number)
    if kind.sign is not None and random.random() < 0.7:
        kind.sign(folder)
    return Case(kind, number, folder, target.relative_to(folder).as_posix(), how)


def fresh(base: Path, place: Path) -> Path:
    """A copy of a base in `place/in`, as it is."""
    shutil.rmtree(place, ignore_errors=True)
    folder, outside = place / "in", place / "outside"
    outside.mkdir(parents=True)
    for name in ("secret.png", "secret.json", "page.png"):
        (outside / name).write_bytes(SECRET)
    shutil.copytree(base, folder, symlinks=True)
    # A workspace remembers the folders of its sources by their full paths.
    for file in folder.rglob("workspace.json"):
        file.write_text(file.read_text().replace(str(base), str(folder)))
    return folder


def _mutate(kind: Kind, pattern: str, target: Path, random: Random, number: int) -> str:
    bombs = kind.bombs.get(pattern, ())
    if bombs and number % 20 == 7:
        bomb = bombs[number // 20 % len(bombs)]
        _replace(target, bomb())
        return bomb.__name__
    if random.random() < 0.02:
        return _special(target, random)
    mutate = kind.targets[pattern]
    _replace(target, mutate(random, target.read_bytes()))
    return mutate.__name__


def _replace(target: Path, data: bytes) -> None:
    target.unlink()
    target.write_bytes(data)


def _special(target: Path, random: Random) -> str:
    """What else may stand in a file's place."""
    what = random.choice(("missing", "empty", "folder", "loop", "outside", "endless", "pipe"))
    target.unlink()
    if what == "empty":
        target.touch()
    elif what == "folder":
        target.mkdir()
    elif what == "loop":
        target.symlink_to(target.name)
    elif what == "outside":
        target.symlink_to(os.path.relpath(_outside(target), target.parent))
    elif what == "endless":
        target.symlink_to("/dev/zero")
    elif what == "pipe":
        os.mkfifo(target)
    return what


def _outside(target: Path) -> Path:
    folder = next(parent for parent in target.parents if parent.name == "in")
    return folder.parent / "outside" / "secret.json"
