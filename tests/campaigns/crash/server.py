"""Push and pull against a real Label Studio: they are killed, and the server is."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.annotation.server import LabelStudio, kill_label_studio, start_label_studio
from tests.campaigns.crash.chain import PEOPLE, STEPS, Chain, Ended, Step, differences, expect, fingerprint, read_truth
from tests.campaigns.crash.kills import kill_at_moment
from tests.e2e.simulated_annotators import work_on

_TASKS = 60
_CHUNK = 5
_SERVER_KILLS = 2
_BASE = next(step for step in STEPS if step.name == "adjudicate")


@dataclass
class Served:
    """What became of one command.

    Attributes:
        command: Its name.
        kills: Of the command.
        server_kills: Of the server while the command ran.
        begun: Kills after which something had been sent or received.
        faults: What went wrong, a line each.
    """

    command: str
    kills: int = 0
    server_kills: int = 0
    begun: int = 0
    faults: list[str] = field(default_factory=list)


class Place:
    """A server, and projects on it that are filled by `push`."""

    def __init__(self, chain: Chain, folder: Path) -> None:
        self.chain, self.folder = chain, folder
        self.server, self.process = start_label_studio(folder)

    def kill(self) -> None:
        """End the server, with everything that it was about to store."""
        kill_label_studio(self.process)

    def restart(self) -> None:
        """Start it again where it was, with the data that it had."""
        self.server, self.process = start_label_studio(self.folder, self.server)

    def step(self, command: str, title: str) -> Step:
        """`push` or `pull` of the project with this title."""
        where = ("--url", self.server.url, "--project", title, "--key-file", str(self.folder / "key"))
        sending = ("--prelabel", "proposal:*", "--limit", str(_TASKS), "--chunk", str(_CHUNK), "--overlap", "3")
        options = sending if command == "push" else ()
        return Step(command, ("label-studio", command, "ws", *where, *options), ok=(0, 1))

    def write_key(self) -> None:
        """The key in a file of ours alone."""
        key = self.folder / "key"
        key.touch(mode=0o600)
        key.write_text(self.server.token, encoding="utf-8")

    def tasks(self, title: str) -> list[dict[str, Any]]:
        """The tasks of a project as the server's own export gives them; none where there is no such project."""
        with self.client() as client:
            found = client.get("/api/projects", params={"page_size": 1000}).raise_for_status().json()["results"]
            for project in found:
                if project["title"] == title:
                    address = f"/api/projects/{project['id']}/export"
                    options = {"exportType": "JSON", "download_all_tasks": "true"}
                    tasks: list[dict[str, Any]] = client.get(address, params=options).raise_for_status().json()
                    return tasks
        return []

    def client(self) -> httpx2.Client:
        """A connection of the administrator's."""
        headers = LabelStudio.headers(self.server.token)
        return httpx2.Client(base_url=self.server.url, headers=headers, timeout=120, trust_env=False)


@contextmanager
def place_for(chain: Chain) -> Iterator[Place]:
    """A server that is gone in the end."""
    place = Place(chain, chain.out / "label-studio")
    try:
        place.write_key()
        yield place
    finally:
        place.kill()


def run_server(chain: Chain, kills: int, seed: int) -> list[Served]:
    """Kill push and pull, and the server under both."""
    rng = random.Random(seed)
    with place_for(chain) as place:
        chain.restore(_BASE)
        push = place.step("push", "undisturbed")
        ended = chain.run(push.arguments)
        expect(ended, push.arguments, push.ok)
        expected = contents(place.tasks("undisturbed"))
        return [kill_push(place, expected, ended.seconds, kills, rng), kill_pull(place, kills, rng)]


def kill_push(place: Place, expected: dict[str, str], seconds: float, kills: int, rng: random.Random) -> Served:
    """Kill an upload, each time into a project of its own; then the server under an upload."""
    result, chain = Served("push"), place.chain
    while result.kills + result.server_kills < kills + _SERVER_KILLS:
        number = result.kills + result.server_kills
        title = f"killed {number}"
        push = place.step("push", title)
        chain.restore(_BASE)
        at = rng.uniform(0.2, 1.0) * seconds
        if result.kills < kills:
            if not kill_at_moment(chain, push.arguments, at):
                continue
            result.kills += 1
        else:
            fault = kill_server_under(place, push, at)
            result.server_kills += 1
            result.faults += [f"push, server killed at {at:.1f} s: {one}" for one in fault]
        result.begun += bool(place.tasks(title))
        again = chain.run(push.arguments)
        faults = _endings(again, push) + differences(contents(place.tasks(title)), expected)
        once_more = chain.run((*push.arguments, "--json"))
        if json.loads(once_more.output)["counts"].get("made", 0):
            faults.append("a push after the rerun still sent tasks")
        result.faults += [f"push, killed at {at:.1f} s: {fault}" for fault in faults]
    return result


def kill_pull(place: Place, kills: int, rng: random.Random) -> Served:
    """Three people work through a project; its download is killed, and the server under it."""
    result, chain = Served("pull"), place.chain
    pull = place.step("pull", "undisturbed")
    chain.restore(_BASE)
    expect(chain.run(place.step("push", "undisturbed").arguments), pull.arguments, (0, 1))
    _annotate(place, "undisturbed", rng)
    before = chain.out / "states" / "pull"
    shutil.copytree(chain.work, before)
    ended = chain.run(pull.arguments)
    expect(ended, pull.arguments, pull.ok)
    expected = fingerprint(chain.work)
    while result.kills + result.server_kills < kills + _SERVER_KILLS:
        chain.restore_from(before)
        at = rng.uniform(0.2, 1.0) * ended.seconds
        untouched = fingerprint(chain.work)
        if result.kills < kills:
            if not kill_at_moment(chain, pull.arguments, at):
                continue
            result.kills += 1
            faults = []
        else:
            faults = kill_server_under(place, pull, at)
            result.server_kills += 1
        result.begun += fingerprint(chain.work) != untouched
        faults += _endings(chain.run(pull.arguments), pull) + differences(fingerprint(chain.work), expected)
        result.faults += [f"pull, killed at {at:.1f} s: {fault}" for fault in faults]
    return result


def kill_server_under(place: Place, step: Step, seconds: float) -> list[str]:
    """Kill the server while a command talks to it, and start it again; what the command did wrong about it."""
    with place.chain.start(step.arguments) as process:
        time.sleep(seconds)
        place.kill()
        output, _ = process.communicate(timeout=300)
    place.restart()
    # It may have been done already, or say which server does not answer.
    if "Traceback" not in output and (process.returncode == 0 or place.server.url in output):
        return []
    return [f"it ended with {process.returncode}: {output.strip()[-500:]}"]


def contents(tasks: Sequence[dict[str, Any]]) -> dict[str, str]:
    """What a project holds, by the name of each task: its data and how many predictions; a second one is marked."""
    found: dict[str, str] = {}
    for task in tasks:
        name = str(task["data"]["pinpoint_id"])
        what = json.dumps([task["data"], len(task["predictions"])], sort_keys=True)
        found[f"{name} again" if name in found else name] = what
    return found


def _endings(ended: Ended, step: Step) -> list[str]:
    if ended.code in step.ok and "Traceback" not in ended.output:
        return []
    return [f"the rerun ended with {ended.code}: {ended.output.strip()[-500:]}"]


def _annotate(place: Place, title: str, rng: random.Random) -> None:
    truth = read_truth(place.chain.work / "drawn" / "gold_evidence.jsonl")
    tasks = place.tasks(title)
    for number, habits in PEOPLE.items():
        token = place.server.make_user(f"annotator{number}@example.com")
        headers = LabelStudio.headers(token)
        with httpx2.Client(base_url=place.server.url, headers=headers, timeout=120, trust_env=False) as person:
            for task in tasks:
                whole = person.get(f"/api/tasks/{task['id']}/", follow_redirects=True).raise_for_status().json()
                work = work_on(whole, truth[task["data"]["question_id"]], habits, rng)
                body = {"result": work.result, "was_cancelled": work.skipped, "lead_time": work.lead_time}
                address = f"/api/tasks/{task['id']}/annotations"
                person.post(address, json=body, follow_redirects=True).raise_for_status()


def table(results: list[Served]) -> str:
    """A Markdown table, a command a row."""
    lines = ["| command | killed | server killed under it | with work begun | faults |", "|---|---:|---:|---:|---:|"]
    for one in results:
        lines.append(f"| {one.command} | {one.kills} | {one.server_kills} | {one.begun} | {len(one.faults)} |")
    totals = Counter[str]()
    for one in results:
        totals.update(a=one.kills, b=one.server_kills, c=one.begun, d=len(one.faults))
    return "\n".join([*lines, "| **all** | " + " | ".join(f"**{value:,}**" for value in totals.values()) + " |"])
