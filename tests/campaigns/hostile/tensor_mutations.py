"""Safetensors files: their bytes, their header, and what they say, signed anew as a stranger would sign it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
from pathlib import Path
from random import Random
from typing import Any

from tests.campaigns.hostile import byte_mutations, values
from tests.campaigns.hostile.json_mutations import mutate_json

_NOTE = "pinpoint"


def mutate_tensors(random: Random, data: bytes) -> bytes:
    """One safetensors file."""
    what = random.random()
    if what < 0.3:
        return byte_mutations.mutate_bytes(random, data)
    header, body = _split(data)
    if what < 0.5:
        return _joined(mutate_json(random, json.dumps(header).encode()), body)
    if what < 0.8 and _NOTE in header.get("__metadata__", {}):
        note = json.loads(header["__metadata__"][_NOTE])
        text = mutate_json(random, json.dumps(note).encode()).decode("utf-8", "replace")
        header["__metadata__"][_NOTE] = text
        return signed(_joined(json.dumps(header).encode(), body))
    numbers = bytearray(body)
    for _ in range(random.choice((1, 5, 50))):
        place = 4 * random.randrange(max(1, len(numbers) // 4))
        number = random.choice((float("nan"), float("inf"), -float("inf"), 3e38, 0.0, 1e-40))
        numbers[place : place + 4] = struct.pack("<f", number)
    if random.random() < 0.2:
        name = random.choice([name for name in header if name != "__metadata__"])
        header[name]["shape"] = [values.number(random) for _ in header[name]["shape"]]
    return signed(_joined(json.dumps(header).encode(), bytes(numbers)))


def _split(data: bytes) -> tuple[dict[str, Any], bytes]:
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def _joined(header: bytes, body: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + body


def signed(data: bytes, **facts: object) -> bytes:
    """The file with the hash that fits its content, where it can be read at all."""
    import torch
    from safetensors.torch import load, save

    with contextlib.suppress(Exception):
        header, _ = _split(data)
        note, tensors = json.loads(header["__metadata__"][_NOTE]), load(data)
        if "facts" in note:
            note["facts"] |= facts
        note.pop("sha256", None)
        digest = hashlib.sha256(json.dumps(note, sort_keys=True).encode())
        for name in sorted(tensors):
            digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
            digest.update(tensors[name].contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        note["sha256"] = digest.hexdigest()
        return save(tensors, metadata={_NOTE: json.dumps(note, sort_keys=True)})
    return data


def sign_run(folder: Path) -> None:
    """Bind a run's weights to its mutated settings."""
    config, weights = folder / "run" / "config.json", folder / "run" / "aligner.safetensors"
    if config.is_file() and weights.is_file() and config.stat().st_size < 10**7:
        digest = hashlib.sha256(config.read_bytes()).hexdigest()
        data = weights.read_bytes()
        weights.write_bytes(signed(data, config_sha256=digest))


def sign_ranker(folder: Path) -> None:
    """Give a mutated ranker the hash that fits its content, where it can be read at all."""
    from safetensors.numpy import load, save

    from training.ranker.model import _digest

    file = folder / "mine.safetensors"
    if not file.is_file():
        return
    with contextlib.suppress(Exception):
        data = file.read_bytes()
        header, _ = _split(data)
        head = json.loads(header["__metadata__"][_NOTE])
        head.pop("sha256", None)
        tensors = load(data)
        head["sha256"] = _digest(tensors, head)
        file.write_bytes(save(tensors, metadata={_NOTE: json.dumps(head, sort_keys=True)}))
