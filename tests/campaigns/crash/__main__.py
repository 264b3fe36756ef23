"""Commands that are killed, run out of disk, or meet one another: is anything lost, or there twice?

    python -m tests.campaigns.crash OUT [--kills 10] [--seed 0] [--only words ...]

Runs the main job on generated documents, disturbs each of its commands again and again, lets it run once more, and
compares what is there then with what an undisturbed run leaves, byte for byte. With a Label Studio (`make
label-studio`) push and pull are killed too, and so is the server. OUT gets `crash.md`, the tables as printed; the exit
code is 1 if anything differed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.annotation.server import find_label_studio
from tests.campaigns.crash import disks, kills, server, together
from tests.campaigns.crash.chain import STEPS, Chain


def main() -> None:
    """Run it and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=10, help="of each command")
    parser.add_argument(
        "--every-operation", action="store_true", help="kill at each operation, and as often at moments"
    )
    parser.add_argument("--rounds", type=int, default=5, help="full disks of each command")
    parser.add_argument("--documents", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=(), choices=[*(step.name for step in STEPS), "label-studio"])
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    only = tuple(given.only)
    started = time.monotonic()
    chain = Chain(given.out.resolve())
    chain.prepare(given.documents, given.seed)
    blocks, faults = [], []

    def say(title: str, text: str, found: list[str]) -> None:
        blocks.append(f"## {title}\n\n{text}\n" + "".join(f"\n- {fault}" for fault in found))
        faults.extend(found)
        sys.stdout.write(blocks[-1] + "\n\n")
        sys.stdout.flush()
        (given.out / "crash.md").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")

    if only != ("label-studio",):
        killed = list(kills.run_kills(chain, None if given.every_operation else given.kills, given.seed, only))
        say("Killed", kills.table(killed), [fault for one in killed for fault in one.faults])
        if disks.can_mount(given.out / "mount"):
            disked = list(disks.run_disks(chain, given.rounds, given.seed, only))
            say("Disk full, disk read-only", disks.table(disked), [fault for one in disked for fault in one.faults])
        else:
            say("Disk full, disk read-only", "Not run: this process may not mount a file system.", [])
        met = list(together.run_together(chain, 3, only))
        dead = [f"lock of a killed command: {fault}" for fault in together.lock_of_the_dead(chain)]
        say("At once", together.table(met), [fault for one in met for fault in one.faults] + dead)
    if not only or "label-studio" in only:
        if find_label_studio() is None:
            say("Label Studio", "Not run: there is no Label Studio here (`make label-studio`).", [])
        else:
            served = server.run_server(chain, given.kills, given.seed)
            say("Label Studio", server.table(served), [fault for one in served for fault in one.faults])
    sys.stdout.write(f"{len(faults)} faults in {time.monotonic() - started:,.0f} s\n")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
