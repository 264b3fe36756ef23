"""Where a model comes from: a local folder or a name on the hub, and a fingerprint of what is there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    StrictDataclassError,
)

from pinpoint_data.errors import TrainingError

_SETTINGS = ("*.json", "*.jinja", "*.txt", "*.model")
_WEIGHTS = "*.safetensors"
_SAMPLE = 1 << 20


@dataclass(frozen=True)
class ModelSource:
    """A model's files.

    Attributes:
        name: The hub name, or the folder's name.
        path: A local folder with at least its settings, tokenizer and processor.
        revision: Commit of a model from the hub; None for a local folder.
        fingerprint: Equal fingerprints mean equal weights and settings; see `files_fingerprint`.
    """

    name: str
    path: Path
    revision: str | None
    fingerprint: str

    def with_weights(self) -> Path:
        """The folder, with the weights in it: of a model from the hub they are fetched when first needed.

        Raises:
            TrainingError: There are no safetensors weights (others, which may run code, are never loaded).
        """
        if self.revision is not None:
            _download(self.name, self.revision, (*_SETTINGS, _WEIGHTS))
        if not any(self.path.glob(_WEIGHTS)):
            pickled = any(self.path.glob("*.bin")) or any(self.path.glob("*.pt*"))
            raise TrainingError(
                "has its weights as pickles only, which may run code" if pickled else "has no *.safetensors weights",
                file=self.path,
                remedy="convert them with the model's own tools: save_pretrained writes safetensors",
            )
        return self.path


def find_model(model: str | Path, revision: str | None = None) -> ModelSource:
    """The files of a model: settings, tokenizer and processor, not the weights.

    Args:
        model: A local folder, or a name on the Hugging Face hub.
        revision: Branch, tag or commit of a model on the hub.

    Raises:
        TrainingError: No such folder, no config.json in it, or the hub cannot be reached.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise TrainingError("has no config.json", file=folder, remedy="name the folder of a saved model")
        return ModelSource(folder.resolve().name, folder, None, files_fingerprint(folder))
    if isinstance(model, Path) or not _is_hub_name(model):
        raise TrainingError(
            "no such folder", file=model, remedy="give the folder of a saved model, or a hub name like Qwen/Qwen2-VL-7B"
        )
    path = _download(model, revision, _SETTINGS)
    # The hub's cache names a snapshot by its commit.
    return ModelSource(model, path, path.name, f"commit:{path.name}")


def read_config(folder: Path) -> Any:
    """The transformers configuration of a model's folder; code that lies beside it is never run.

    Raises:
        TrainingError: There is none, it is damaged, or of an architecture that transformers does not know.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, StrictDataclassError) as error:
        raise TrainingError(f"has no usable config.json: {first_line(error)}", file=folder) from error


def first_line(error: Exception) -> str:
    """What a library says, without the paragraphs of advice that may follow."""
    return next((line.rstrip(":") for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _is_hub_name(model: str) -> bool:
    return model.count("/") == 1 and not model.startswith((".", "/", "~"))


def _download(name: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise TrainingError(
            f"cannot be had from the hub: {first_line(error)}",
            record=f"model {name}",
            remedy="give a local folder instead, or unset HF_HUB_OFFLINE where there is a network",
        ) from error


def files_fingerprint(folder: Path) -> str:
    """`files:` and a SHA-256 over a model folder.

    Over the bytes of its settings, tokenizer and processor files; of weights over names, shapes and offsets (the
    header of each safetensors file), its size, and the first and last MiB of its data: whole checkpoints of 15 GB
    would take a minute.
    """
    digest = hashlib.sha256()
    found = {path for pattern in (*_SETTINGS, _WEIGHTS) for path in folder.glob(pattern) if path.is_file()}
    for path in sorted(found):
        digest.update(json.dumps([path.name, path.stat().st_size]).encode())
        for part in _sampled(path) if path.suffix == ".safetensors" else [path.read_bytes()]:
            digest.update(part)
    return f"files:{digest.hexdigest()}"


def _sampled(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        size = path.stat().st_size
        length = file.read(8)
        yield length
        # A damaged length must not make us read gigabytes.
        yield file.read(min(int.from_bytes(length, "little"), 100 * _SAMPLE, size))
        yield file.read(_SAMPLE)
        file.seek(max(0, size - _SAMPLE))
        yield file.read(_SAMPLE)
