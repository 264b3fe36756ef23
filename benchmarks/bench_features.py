"""Reading the feature cache in random page order, against one .npy file a page.

    python benchmarks/bench_features.py [--pages 64] [--tokens 2304] [--dim 4096] [--work-ms 0]

Pages are of LLaVA-NeXT's size: 2,304 tokens x 4,096 in bfloat16, 19 MB. Both sides read the same tokens in the same
random orders into memory of their own, in steps of 8 pages; the file system's cache is warm for both (a cold disk
cannot be timed without the right to empty it). A consumer that computes is played by sleeping `--work-ms` a page:
"waited" is what reading adds to that.

    npy            np.load of the page's own file (bfloat16 kept as uint16, which .npy has no name for)
    view           FeatureReader.tokens, then a copy into the consumer's memory
    prefetch       FeatureReader.prefetch of the next step, then tokens
    first read     as prefetch, with every page's checksum compared (once a process)
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.ratios import Ratio, hand_over
from pinpoint_data.token_grid import even_grid
from training.backbones.base import EncodedPage
from training.features import FeatureReader, FeatureWriter, create_cache, open_features, page_key

STEP = 8


class Backbone:
    """Says what the tokens are; none are made here."""

    name, question_dim, shared_dim, reads_words = "bench", 1, 0, False

    def __init__(self, tokens: int, dim: int) -> None:
        self.tokens, self.token_dim = tokens, dim

    def grid(self, width: int, height: int) -> Any:
        return even_grid(1, self.tokens, width, height, "bench")

    def spec(self) -> dict[str, Any]:
        return {"name": "bench", "version": 1, "options": {"dtype": "bfloat16", "tokens": self.tokens}}

    def encode_page(self, page: Any) -> EncodedPage:
        raise AssertionError("every page is in the cache; none is encoded here")

    encode_question: Any = encode_page


class Store:
    workspace = SimpleNamespace(path="bench")

    def row(self, page_id: str) -> dict[str, Any]:
        return {"sha256": page_id, "pdf_page": None, "dpi": None, "width": 1000, "height": 1000}


def write(folder: Path, backbone: Backbone, pages: Sequence[str]) -> None:
    generator = torch.Generator().manual_seed(0)
    grid = backbone.grid(1000, 1000)
    with FeatureWriter(create_cache(folder / "cache", backbone)) as writer:
        for page_id in pages:
            tokens = torch.randn(backbone.tokens, backbone.token_dim, generator=generator).to(torch.bfloat16)
            writer.add(page_key(Store(), page_id, reads_words=False), page_id, EncodedPage(grid, tokens))
            np.save(folder / f"{page_id}.npy", tokens.view(torch.uint16).numpy())


def steps(pages: Sequence[str], seed: int) -> list[list[str]]:
    order = np.random.default_rng(seed).permutation(pages).tolist()
    return [order[start : start + STEP] for start in range(0, len(order), STEP)]


def read(
    order: list[list[str]], load: Callable[[str], Tensor], ahead: Callable[[list[str]], None], work: float
) -> float:
    """Seconds to read all pages, without the consumer's own work."""
    started = time.perf_counter()
    ahead(order[0])
    for number, step in enumerate(order):
        if number + 1 < len(order):
            ahead(order[number + 1])
        for page_id in step:
            load(page_id)
            time.sleep(work)
    return time.perf_counter() - started - work * sum(map(len, order))


def sides(
    folder: Path, open_reader: Callable[[], FeatureReader]
) -> dict[str, Callable[[list[list[str]], float], float]]:
    def npy(order: list[list[str]], work: float) -> float:
        load = lambda page: torch.from_numpy(np.load(folder / f"{page}.npy")).view(torch.bfloat16)  # noqa: E731
        return read(order, load, lambda pages: None, work)

    warm = open_reader()
    for path in folder.glob("*.npy"):
        warm.tokens(path.stem)

    def first_read(order: list[list[str]], work: float) -> float:
        with open_reader() as fresh:
            return read(order, fresh.tokens, fresh.prefetch, work)

    return {
        "npy": npy,
        "view": lambda order, work: read(order, lambda page: warm.tokens(page).clone(), lambda pages: None, work),
        "prefetch": lambda order, work: read(order, warm.tokens, warm.prefetch, work),
        "first read": first_read,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=2304)
    parser.add_argument("--dim", type=int, default=4096)
    parser.add_argument("--work-ms", type=float, nargs="*", default=[0.0, 15.0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="On the disk to measure; a temporary folder by default.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pages = [f"{number:04d}" for number in range(arguments.pages)]
    page_bytes = arguments.tokens * arguments.dim * 2
    backbone = Backbone(arguments.tokens, arguments.dim)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as place:
        folder = Path(place)
        write(folder, backbone, pages)
        print(f"{len(pages)} pages of {arguments.tokens:,} x {arguments.dim:,} bfloat16 = {page_bytes / 1e6:.1f} MB")
        found = sides(folder, lambda: open_features(folder / "cache", backbone, Store()))
        for work in arguments.work_ms:
            seconds: dict[str, list[float]] = {side: [] for side in found}
            # In turns, so that what else runs on the machine troubles all sides alike.
            for number in range(arguments.rounds):
                for side, measure in found.items():
                    seconds[side].append(measure(steps(pages, number), work / 1e3) / len(pages))
            middle = {side: statistics.median(times) for side, times in seconds.items()}
            report(work, middle, page_bytes)
            what = f"features in random order, a consumer that works {work:.0f} ms a page"
            waited = middle["prefetch"], middle["npy"]
            hand_over([Ratio(what, "seconds waited a page", waited[0], "one .npy a page", waited[1])])


def report(work: float, seconds: dict[str, float], page_bytes: int) -> None:
    print(f"consumer works {work:.0f} ms a page; median of rounds")
    for side, waited in seconds.items():
        rate = f"  {1 / waited:7.0f} pages/s  {page_bytes / waited / 1e9:6.2f} GB/s" if not work else ""
        ratio = seconds["npy"] / waited
        print(f"  {side:10s}  waited {waited * 1e3:6.2f} ms a page{rate}  ({ratio:5.2f}x npy)")


if __name__ == "__main__":
    main()
