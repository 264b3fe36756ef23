"""Reading shards: tensors as views of the mapped file, checked against the index."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from safetensors import SafetensorError, safe_open
from torch import Tensor

from pinpoint_data.errors import TrainingError
from pinpoint_data.small_files import refuse_special
from training.features.cache import DTYPES
from training.features.index import Entry, checksum
from training.features.scanning import REPAIR


class ShardFile:
    """A mapped shard. Its tensors share the file's memory, privately: writing into one does not reach the disk.

    Raises:
        TrainingError: The file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._damage():
            refuse_special(path)
            # The package's own types say nothing about most of its methods.
            self._file = cast("Any", safe_open(path, framework="pt", device="cpu"))
            self._names = frozenset(self._file.keys())

    def __enter__(self) -> ShardFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; tensors that are still in use keep it mapped."""
        self._file.__exit__(None, None, None)

    def view(self, entry: Entry) -> Tensor:
        """The tokens of an entry (n, d_v), without a copy.

        Raises:
            TrainingError: The shard has no such tensor, or one of another shape or type.
        """
        if entry.tensor not in self._names:
            raise self._error(entry, "the tensor is missing")
        with self._damage():
            tensor: Tensor = self._file.get_tensor(entry.tensor)
        if tuple(tensor.shape) != (entry.tokens, entry.dim) or tensor.dtype != DTYPES.get(entry.dtype):
            raise self._error(
                entry,
                f"the tensor is {tensor.dtype} {tuple(tensor.shape)}, the index says "
                f"{entry.dtype} {(entry.tokens, entry.dim)}",
            )
        return tensor

    def check(self, entry: Entry, tensor: Tensor) -> None:
        """Compare a tensor with the checksum it was written with.

        Raises:
            TrainingError: Its bytes have changed.
        """
        if checksum(tensor) != entry.checksum:
            raise self._error(entry, "the tokens are not those that were written: their checksum differs")

    def _error(self, entry: Entry, message: str) -> TrainingError:
        return TrainingError(message, file=self.path, record=f"page {entry.page_id}", remedy=REPAIR_CHECKED)

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise TrainingError("the shard is missing", file=self.path, remedy=REPAIR) from error
        except (SafetensorError, OSError) as error:
            raise TrainingError(f"is no readable shard: {error}", file=self.path, remedy=REPAIR_CHECKED) from error


REPAIR_CHECKED = REPAIR.replace("features prune", "features prune --checksums")
"""What names and sizes do not tell is found only by reading."""
