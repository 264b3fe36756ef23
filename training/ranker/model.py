"""The network of the ranker, without torch, and the file it is kept in.

    z = W_1 x + b_1                     x: a token's features, standardised and cut at +-4
    h = relu(z)
    h = h + relu(W_2 norm(h) + b_2)     layer norm, as in training
    score = w_3 h + b_3

The scores of all tokens of all the question's pages go through one softmax: what comes out, levelled between few pages
and smoothed a little, is the share of the evidence that is expected in each token. Several members, trained from
different seeds, are averaged in the log domain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from scipy import ndimage

from pinpoint_data.atomic import write_bytes
from pinpoint_data.errors import TrainingError, UsageError, one_line
from training.ranker.facts import wrong_fact
from training.ranker.features import FEATURES, features_digest, token_features
from training.ranker.page import ReadPage

FloatArray = npt.NDArray[np.float32]

SHIPPED = "documents"
"""The ranker that is used where none is named."""

CUT = 4.0
LEVELLING = 8.0
"""A page that expects m of the evidence of P pages is given m ** (P^2 / (P^2 + LEVELLING)), scaled to a sum of one. Few
pages were picked by somebody, most of them for what they hold, and the one whose words match less is not to be starved;
of the pages of a whole document most hold nothing, and their expectations stay as they are."""
SMOOTHING = 0.3
"""Evidence is larger than a token: where all around are likely too, a token is more so. It lifts the best one most."""
SUFFIX = ".safetensors"
RANKER_FILE = f"ranker{SUFFIX}"
_KIND = "pinpoint-ranker"
_EPSILON = 1e-5
_LARGEST = 1e6
"""Of a weight, and of one over a scale: with larger ones a score might overflow."""
_WEIGHTS = files("training.ranker") / "weights"
_SHAPES = ("mean", "scale", "first.weight", "first.bias", "norm.weight", "norm.bias", "second.weight", "second.bias",
           "last.weight", "last.bias")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Ranker:
    """A trained ranker.

    Attributes:
        name: What it is called.
        tensors: `mean` and `scale` (f,) of the features; the members' weights, stacked: `first.weight` (k, h, f),
            `first.bias` (k, h), `norm.weight`, `norm.bias` (k, h), `second.weight` (k, h, h), `second.bias` (k, h),
            `last.weight` (k, h), `last.bias` (k,).
        facts: How it was trained and on what, JSON-ready.
    """

    name: str
    tensors: Mapping[str, FloatArray]
    facts: Mapping[str, Any]

    @property
    def members(self) -> int:
        """K."""
        return len(self.tensors["last.bias"])

    @property
    def parameters(self) -> int:
        """Weights of all members together."""
        return sum(tensor.size for name, tensor in self.tensors.items() if name not in ("mean", "scale"))

    @property
    def license(self) -> str:
        """Short name of the licence that its weights are under, "" where none was recorded."""
        return one_line(str(self.facts.get("licence") or "").partition(":")[0])

    @property
    def flops_per_token(self) -> int:
        """Operations of the members' matrix products for a token, two a multiply-add; reading features is not in it."""
        _, hidden, features = self.tensors["first.weight"].shape
        operations: int = 2 * self.members * (hidden * features + hidden * hidden + hidden)
        return operations

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its weights, the features they are for, and all that is recorded of its training."""
        return _digest(_as_written(self.tensors), _head(self.facts))

    def shares(self, pages: Sequence[ReadPage], question: str) -> list[npt.NDArray[np.float64]]:
        """The share of the evidence expected in each token, (N,) a page; all pages' tokens together sum to one."""
        return self.shares_of(token_features(pages, question), [(page.grid.rows, page.grid.cols) for page in pages])

    def shares_of(
        self,
        features: Iterable[FloatArray],
        shapes: Sequence[tuple[int, int]],
        *,
        smoothing: float = SMOOTHING,
        levelling: float = LEVELLING,
    ) -> list[npt.NDArray[np.float64]]:
        """The same of pages' tokens whose features are known.

        Args:
            features: (N, f) values of `FEATURES`, a page each.
            shapes: Rows and columns of each page's grid.
            smoothing: The part of a token's share that is the mean of those around it.
            levelling: How far shares of few pages are levelled; 0 leaves them as they are.
        """
        together = np.concatenate([self.logits(page) for page in features]).astype(np.float64)
        likely = np.exp(together - together.max())
        ends = np.cumsum([rows * cols for rows, cols in shapes])[:-1]
        pages = _levelled(np.split(likely / likely.sum(), ends), levelling)
        return [_smoothed(page.reshape(shape), smoothing) for page, shape in zip(pages, shapes, strict=True)]

    def logits(self, features: FloatArray) -> FloatArray:
        """(N,): the members' mean score of tokens with these features (N, f)."""
        weights, (members, hidden, _) = self.tensors, self.tensors["first.weight"].shape
        standard = features - weights["mean"]
        standard /= weights["scale"]
        np.clip(standard, -CUT, CUT, out=standard)
        # One product for all members; in place where it can be, as memory costs as much as arithmetic here.
        below = standard @ weights["first.weight"].reshape(members * hidden, -1).T
        below += weights["first.bias"].ravel()
        np.maximum(below, 0, out=below)
        scores = np.full(len(features), weights["last.bias"].sum(), dtype=np.float32)
        for member in range(members):
            own = {name: weights[name][member] for name in _SHAPES[2:]}
            first = below[:, member * hidden : (member + 1) * hidden]
            normed = first - first.mean(axis=1, keepdims=True)
            normed /= np.sqrt(np.einsum("nh,nh->n", normed, normed)[:, None] / hidden + np.float32(_EPSILON))
            normed *= own["norm.weight"]
            normed += own["norm.bias"]
            second = normed @ own["second.weight"].T
            second += own["second.bias"]
            np.maximum(second, 0, out=second)
            scores += (first + second) @ own["last.weight"]
        return scores / np.float32(members)

    def save(self, file: Path) -> None:
        """Write it; the same ranker gives the same bytes."""
        tensors = _as_written(self.tensors)
        head = _head(self.facts) | {"sha256": self.fingerprint}
        # One entry of metadata only: the writer keeps several in no fixed order.
        write_bytes(file, save(tensors, metadata={"pinpoint": json.dumps(head, sort_keys=True)}))

    @classmethod
    def load(cls, source: str | Path = SHIPPED) -> Ranker:
        """A ranker that is shipped with the package, by its name, or one in a file.

        Raises:
            UsageError: It is neither the name of a shipped one nor a file.
            TrainingError: The file is damaged, was altered, is no ranker, or was made for other features.
        """
        if isinstance(source, str) and source in ranker_names():
            return _load(Path(str(_WEIGHTS / f"{source}{SUFFIX}")), source)
        file = Path(source)
        if (file / RANKER_FILE).is_file():
            return _load(file / RANKER_FILE, file.resolve().name)
        if not file.is_file():
            known = ", ".join(ranker_names())
            raise UsageError(f"no ranker {str(source)!r}; expected {known}, or what `pinpoint ranker train` made")
        return _load(file, file.stem)

    def has_learnt(self, page: Mapping[str, Any]) -> bool:
        """Whether it was trained on this page, a row of a workspace's `pages` (known by its bytes, not its name)."""
        return page_key(page) in self._learnt

    @cached_property
    def _learnt(self) -> frozenset[str]:
        return frozenset(self.facts.get("pages", ()))


def _levelled(pages: Sequence[npt.NDArray[np.float64]], levelling: float) -> list[npt.NDArray[np.float64]]:
    """Pages' shares, (N,) each, with the sums of the pages levelled; see `LEVELLING`."""
    power = len(pages) ** 2 / (len(pages) ** 2 + levelling)
    held = np.array([page.sum() for page in pages])
    wanted = held**power
    factors = wanted / wanted.sum() / np.where(held > 0, held, 1)
    return [page * factor for page, factor in zip(pages, factors, strict=True)]


def _smoothed(shares: npt.NDArray[np.float64], part: float) -> npt.NDArray[np.float64]:
    """(N,): shares (rows, cols) with a part of each taken from the mean of the 3 x 3 around it; their sum stays."""
    # Mirrored at the edges, where zeros beyond would take some of the sum away.
    smoothed: npt.NDArray[np.float64] = (1 - part) * shares + part * ndimage.uniform_filter(shares, 3, mode="reflect")
    return smoothed.ravel()


def page_key(page: Mapping[str, Any]) -> str:
    """What a page is known by wherever it is: the start of its file's SHA-256 (its id without), and its PDF page."""
    number = page["pdf_page"]
    known = page["page_id"] if page["sha256"] is None else page["sha256"][:12]
    return str(known) if number is None else f"{known}#{number}"


def ranker_names() -> list[str]:
    """The rankers that are shipped with the package."""
    return sorted(entry.name.removesuffix(SUFFIX) for entry in _WEIGHTS.iterdir() if entry.name.endswith(SUFFIX))


def _load(file: Path, name: str) -> Ranker:
    try:
        with safe_open(file, framework="numpy") as opened:
            head = json.loads((opened.metadata() or {}).get("pinpoint", "null"))
            if not isinstance(head, dict) or head.get("kind") != _KIND:
                raise TrainingError("is no ranker", file=file, remedy="make one: pinpoint ranker train")
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 - not a dict
        json.dumps(head, allow_nan=False)  # what JSON has no number for could not be shown as JSON either
    # Types that NumPy does not have are attributes that it lacks; JSON may be nested without end.
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise TrainingError(f"is no readable safetensors file: {error}", file=file) from error
    if head.get("features") != features_digest():
        raise TrainingError(
            "was trained on other features than this version of pinpoint-data computes",
            file=file,
            remedy="use the version that made it, or train again: pinpoint ranker train",
        )
    _check_tensors(file, tensors)
    if head.pop("sha256", None) != _digest(tensors, head):
        raise TrainingError(
            "its content does not match the hash it was written with: it was altered or damaged",
            file=file,
            remedy="take the file from where it was published, or train again",
        )
    if (wrong := wrong_fact(head.get("facts"))) is not None:
        raise TrainingError(f"what it records of its training is unreadable: {wrong}", file=file)
    return Ranker(name, tensors, head["facts"])


def _check_tensors(file: Path, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    found = {name: tensor.shape for name, tensor in tensors.items()}
    first = found.get("first.weight", ())
    members, hidden, width = first if len(first) == 3 else (0, 0, 0)
    wide, square = (members, hidden), (members, hidden, hidden)
    shapes = ((width,), (width,), (members, hidden, width), wide, wide, wide, square, wide, wide, (members,))
    expected = dict(zip(_SHAPES, shapes, strict=True))
    if found != expected or width != len(FEATURES) or not members:
        raise TrainingError("its tensors are not those of a ranker", file=file)
    if any(tensor.dtype != np.float32 or not np.isfinite(tensor).all() for tensor in tensors.values()):
        raise TrainingError("holds a weight that is no finite float32", file=file)
    if any(np.abs(tensor).max() > _LARGEST for tensor in tensors.values()) or tensors["scale"].min() < 1 / _LARGEST:
        raise TrainingError("holds a weight or a scale that no training gives", file=file)


def _head(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": _KIND, "features": features_digest(), "facts": dict(facts)}


def _as_written(tensors: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    return {name: np.ascontiguousarray(tensor, dtype=np.float32) for name, tensor in tensors.items()}


def _digest(tensors: Mapping[str, FloatArray], head: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].shape}".encode())
        digest.update(np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()
