"""Forward and backward of the aligner over a batch, against the obvious unfold of every window's tokens.

    python benchmarks/bench_aligner.py [--pages 8] [--threads 1]
    python benchmarks/bench_aligner.py --size llava-next --pages 3
    python benchmarks/bench_aligner.py --size qwen2-vl --device cuda --precision bf16

All sides score every window (10 x 10, stride 7) of some pages against as many questions, with the same weights, K = 100
queries and a mean of cosines, and send a contrastive loss back. "unfold" copies each window's tokens and applies the
formula to the copies with plain autograd (autocast in bf16); "shared" runs MLP and logits once a token with the obvious
pooling; "ours" is `training.aligner`. Each runs in a process of its own, in turns. Tokens and weights are there before
the clock starts, and only memory above them is counted: on a CPU what resident memory gained, on CUDA what was
allocated at the peak. Time is the least of all repeats and rounds: processor time on a CPU, the GPU's own on CUDA.

On CUDA the least time that the step's arithmetic and the least that its memory traffic could take are printed as well,
from the speed of a large matrix product and of a large copy in the same process. Both count what must be computed and
moved: the products of MLPs, logits and pooling with their gradients; tokens and inner layer twice, projections and
logits five times.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.ratios import Ratio, hand_over
from pinpoint_data.token_grid import even_grid
from pinpoint_data.windows import make_windows
from training.aligner.model import Aligner, window_tokens
from training.fitting.numerics import numerics

QUERIES, WORDS = 100, 14
Scores = Callable[[Aligner, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Size:
    """A page of rows x cols tokens of width `token_dim`; an aligner of width `dim`."""

    rows: int
    cols: int
    token_dim: int
    dim: int
    pages: int


SIZES = {
    "letter": Size(46, 36, 164, 128, 8),
    "llava-next": Size(48, 48, 4096, 512, 32),
    "qwen2-vl": Size(64, 64, 3584, 512, 32),
    "qwen2-vl-large": Size(128, 128, 3584, 512, 32),
}


def pooled_scores(weights: Tensor, values: Tensor, questions: Tensor) -> Tensor:
    """Weights (w, t, K) and values (w, t, d) to scores (b, w)."""
    visual = functional.normalize(weights.softmax(dim=1).transpose(1, 2) @ values, dim=-1)
    return questions.flatten(1) @ visual.flatten(1).t()


def plain_values(aligner: Aligner, tokens: Tensor) -> Tensor:
    """R', with everything kept that autograd keeps by itself."""
    low = aligner.compute_dtype is not None
    with torch.autocast(tokens.device.type, dtype=torch.bfloat16, enabled=low):
        projected: Tensor = aligner.visual.last(functional.gelu(aligner.visual.first(tokens)))
    return projected.float()


def unfold(aligner: Aligner, tokens: Tensor, windows: Tensor, questions: Tensor) -> Tensor:
    values = plain_values(aligner, tokens[windows])
    logits = values @ aligner.queries.t() / math.sqrt(values.shape[-1])
    return pooled_scores(logits, values, questions)


def shared(aligner: Aligner, tokens: Tensor, windows: Tensor, questions: Tensor) -> Tensor:
    values = plain_values(aligner, tokens)
    logits = values @ aligner.queries.t() / math.sqrt(values.shape[-1])
    return pooled_scores(logits[windows], values[windows], questions)


def ours(aligner: Aligner, tokens: Tensor, windows: Tensor, questions: Tensor) -> Tensor:
    return aligner.score(aligner.encode_page(tokens), [windows], questions)


SIDES: dict[str, Scores] = {"unfold": unfold, "shared": shared, "ours": ours}


class Problem:
    """Weights, tokens (n, d_v), windows (w, t) over all pages and questions, on the device asked for."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        size, self.device = SIZES[arguments.size], torch.device(arguments.device)
        self.size, self.pages = size, arguments.pages
        generator = torch.Generator(self.device).manual_seed(0)
        self.aligner = Aligner(size.token_dim, size.token_dim, queries=QUERIES, width=size.dim).to(self.device)
        low = arguments.precision == "bf16"
        self.aligner.compute_dtype = torch.bfloat16 if low else None
        grid = even_grid(size.rows, size.cols, size.cols * 28, size.rows * 28, "bench")
        one = window_tokens(make_windows(grid).rows_cols, size.cols)
        self.windows = torch.cat([one + page * grid.n_tokens for page in range(self.pages)]).to(self.device)
        shape = self.pages * grid.n_tokens, size.token_dim
        dtype = torch.bfloat16 if low else torch.float32
        self.tokens = torch.randn(shape, generator=generator, dtype=dtype, device=self.device)
        words = self.pages, WORDS, size.token_dim
        self.text = torch.randn(words, generator=generator, device=self.device)
        self.mask = torch.ones(self.text.shape[:2], dtype=torch.bool, device=self.device)
        self.target = torch.arange(self.pages, device=self.device) * len(one)

    def step(self, side: str, windows: int | None = None) -> Tensor:
        """Scores; gradients are left with the weights. With `windows`, of the first few and their tokens alone."""
        self.aligner.zero_grad()
        questions = self.aligner.encode_questions(self.text, self.mask)
        chosen = self.windows[:windows]
        tokens = self.tokens if windows is None else self.tokens[: int(chosen.max()) + 1]
        scores = SIDES[side](self.aligner, tokens, chosen, questions)
        functional.cross_entropy(scores / 0.07, self.target.clamp_max(scores.shape[1] - 1)).backward()
        return scores.detach()

    def floors(self) -> dict[str, float]:
        """Seconds that the arithmetic and the memory traffic of a step take at least, on this GPU."""
        n, width, dim = len(self.tokens), self.size.token_dim, self.size.dim
        hidden, low = 2 * dim, self.tokens.dtype
        # The tokens get no gradient: their layer has two products, all others three.
        mlp = 2 * n * (2 * width * hidden + 3 * hidden * dim)
        pooling = 2 * dim * QUERIES * (3 * n + 4 * self.windows.numel())
        moved = low.itemsize * n * 2 * (width + hidden) + 4 * n * 5 * (dim + QUERIES)
        return {
            "arithmetic": mlp / matmul_speed(low) + pooling / matmul_speed(torch.float32),
            "memory traffic": moved / copy_speed(),
        }


def gpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """The least time of all repeats, after one more to warm up."""
    found = []
    for _ in range(repeats + 1):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        found.append(begin.elapsed_time(end) / 1e3)
    return min(found[1:])


def matmul_speed(dtype: torch.dtype, side: int = 8192) -> float:
    """Operations a second of a large matrix product, as torch is set now."""
    left, right = (torch.randn(side, side, device="cuda", dtype=dtype) for _ in range(2))
    return 2 * side**3 / gpu_seconds(lambda: left @ right, 5)


def copy_speed(megabytes: int = 2048) -> float:
    """Bytes a second, read and written, of a large copy."""
    source = torch.empty(megabytes * 2**20, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.numel() / gpu_seconds(lambda: target.copy_(source), 5)


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(side: str, arguments: argparse.Namespace) -> dict[str, object]:
    problem = Problem(arguments)
    with numerics(arguments.threads, problem.device, arguments.precision):
        problem.step(side, windows=1)  # loads the libraries, whose memory is not counted
        if problem.device.type == "cuda":
            problem.aligner.zero_grad()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            seconds = gpu_seconds(lambda: problem.step(side), arguments.repeats)
            found: dict[str, object] = {"seconds": seconds, "bytes": torch.cuda.max_memory_allocated() - before}
            return found | ({"floors": problem.floors()} if side == "ours" else {})
        level, times = peak_bytes(), []
        for _ in range(arguments.repeats):
            started = time.process_time()
            problem.step(side)
            times.append(time.process_time() - started)
        return {"seconds": min(times), "bytes": peak_bytes() - level}


def run(side: str, arguments: argparse.Namespace) -> dict[str, object]:
    names = ("size", "pages", "device", "precision", "threads", "repeats")
    options = [f"--{name}={getattr(arguments, name)}" for name in names]
    command = [sys.executable, __file__, f"--side={side}", *options]
    found: dict[str, object] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def largest_difference(arguments: argparse.Namespace) -> float:
    """Of scores and of gradients (relative to each gradient's largest entry), ours against the unfold, on one page."""
    problem = Problem(argparse.Namespace(**vars(arguments) | {"pages": 1}))
    results = []
    with numerics(arguments.threads, problem.device, arguments.precision):
        for side in ("unfold", "ours"):
            scores = problem.step(side)
            results.append([scores, *(weights.grad.clone() for weights in problem.aligner.parameters())])
    return max(float((a - b).abs().max() / max(1e-9, float(a.abs().max()))) for a, b in zip(*results, strict=True))


def report(arguments: argparse.Namespace, rounds: list[dict[str, dict[str, object]]]) -> None:
    size = SIZES[arguments.size]
    where = torch.cuda.get_device_name() if arguments.device == "cuda" else f"cpu, {arguments.threads} threads"
    fewer = f" (of {size.pages}: --pages)" if arguments.pages < size.pages else ""
    print(
        f"{arguments.size}: {arguments.pages} pages{fewer} of {size.rows} x {size.cols} tokens, d_v {size.token_dim}, "
        f"d {size.dim}, K {QUERIES}, {arguments.pages} questions; {arguments.precision}, {where}"
    )
    found = {side: {k: min(float(str(r[side][k])) for r in rounds) for k in ("seconds", "bytes")} for side in SIDES}
    for side, values in found.items():
        time_ratio, memory_ratio = (found["unfold"][name] / values[name] for name in ("seconds", "bytes"))
        print(
            f"  {side:6s} {values['seconds'] * 1e3:9.1f} ms ({time_ratio:4.1f}x faster than unfold)"
            f"  {values['bytes'] / 2**20:9.1f} MiB ({memory_ratio:4.1f}x less)"
        )
    what = f"aligner step, pages of {arguments.size}, {arguments.device}"
    ours, unfold = found["ours"], found["unfold"]
    hand_over(Ratio(what, name, ours[name], "per-window unfold", unfold[name]) for name in ("seconds", "bytes"))
    floors = rounds[0]["ours"].get("floors")
    if isinstance(floors, dict):
        binding = max(floors, key=lambda name: floors[name])
        shares = ", ".join(f"{name} {seconds * 1e3:.2f} ms" for name, seconds in floors.items())
        share = floors[binding] / found["ours"]["seconds"]
        print(f"  ours takes at least: {shares}; {binding} binds, and {share:.0%} of its speed is reached")
    print(f"  ours against unfold, one page: largest relative difference {largest_difference(arguments):.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="letter")
    parser.add_argument("--pages", type=int, help="pages and questions; fewer where the unfold does not fit")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.pages = arguments.pages or SIZES[arguments.size].pages
    if arguments.side:
        print(json.dumps(measure(arguments.side, arguments)))
        return
    # In turns, so that what else runs on the machine troubles all sides alike.
    report(arguments, [{side: run(side, arguments) for side in SIDES} for _ in range(arguments.rounds)])


if __name__ == "__main__":
    main()
