"""Text files (CSV, XML, YAML, TOML, Markdown): lines and words changed, doubled and swapped."""

from __future__ import annotations

import re
from random import Random

from tests.campaigns.hostile import byte_mutations, values

_WORD = re.compile(r"[^\s,;:=<>\[\]{}\"']+")


def mutate_text(random: Random, data: bytes) -> bytes:
    """One text file."""
    if random.random() < 0.3:
        return byte_mutations.mutate_bytes(random, data)
    lines = data.decode("utf-8", "surrogateescape").splitlines(keepends=True) or [""]
    for _ in range(random.choice((1, 1, 2, 5))):
        place = random.randrange(len(lines))
        what = random.choice(("drop", "double", "swap", "word", "word", "word", "add", "indent"))
        if what == "drop" and len(lines) > 1:
            del lines[place]
        elif what == "double":
            lines.insert(place, lines[place])
        elif what == "swap":
            other = random.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        elif what == "word" and (words := list(_WORD.finditer(lines[place]))):
            word, new = random.choice(words), random.choice((values.text(random), str(values.number(random))))
            lines[place] = lines[place][: word.start()] + new + lines[place][word.end() :]
        elif what == "add":
            lines.insert(place, f"{values.text(random)}\n")
        elif what == "indent":
            lines[place] = random.choice(("  ", "\t", "- ", "&a ", "*a ", "!!python/name:os.system ")) + lines[place]
    return "".join(lines).encode("utf-8", "surrogatepass")
