"""Time to the first token and peak memory: all of a page's tokens against selection and refinement.

    PYTHONPATH=. python benchmarks/bench_prefill.py --model llava-next-7b --device cuda --save
    PYTHONPATH=. python benchmarks/bench_prefill.py --model qwen2-vl-7b --device cuda --save

The answering code as it is, asked for one new token, on a model of the published size with random weights, an untrained
aligner of the shipped recipe's size, and noise for a page: what it selects is scattered, and falls into more regions
than a trained one's. Stage one looks at the page as the recipe says, which for Qwen2-VL is with fewer pixels than the
model that answers, and with the same weights. Every answer encodes its page anew. Without a GPU model and aligner are
scaled down (`--scale 8`: an eighth of the layers, heads and widths); the code is the same. LLaVA-NeXT's view of the
whole page, a quarter of its tokens, is read by vanilla alone unless `--global-view` puts it in front of the regions.

encode        the page through the vision tower, decoding left out, resizing included
select        stage one without that: the aligner's scores of all windows, and the choice of tokens
refine        the chosen regions through the vision tower
prefill       the language model, until the first token
first_token   all of an answer, by the clock
select %      share of stage one in that; +encode % with the page's first encoding
peak          on a GPU what PyTorch had allocated; on a CPU resident memory, each side in a process of its own
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image

from benchmarks.random_model import MODELS, open_random
from benchmarks.ratios import Ratio, hand_over
from pinpoint_data import __version__
from pinpoint_data.atomic import write_json
from pinpoint_data.errors import PinpointError
from pinpoint_data.words.base import PageWords
from training.answering import Answer, make_answerers
from training.backbones.vlm import VlmBackbone
from training.checkpoint import Run, make_aligner
from training.config import load_config, recipe_path
from training.pages.input import PageInput
from training.vlm import VisionLanguageModel, open_model

QUESTION = "Which year had the highest exports of all?"
PAPER = "381/569"
"""Prefill of PinPoint over that of vanilla LLaVA-NeXT-7B at a coverage of 0.6 (arXiv 2603.22815)."""
PAPER_COVERAGE, PAPER_RATIO = 0.6, 381 / 569
STAGES = ("encode", "select", "refine", "prefill")
STATISTICS: dict[str, Callable[[list[float]], float]] = {"median": median, "least": min}


@dataclass(frozen=True)
class Rig:
    """What answers: the model, and a run that selects for it."""

    model: VisionLanguageModel
    run: Run
    global_view: bool = False

    def answer(self, coverage: float | None, page: PageInput) -> tuple[Answer, float]:
        """One answer and its seconds by the clock; no coverage is vanilla. Nothing is remembered from earlier ones."""
        [answerer] = make_answerers(
            None if coverage is None else self.run,
            model=self.model,
            coverages=[] if coverage is None else [coverage],
            vanilla=coverage is None,
            max_new_tokens=1,
            global_view=self.global_view,
        )
        started = self.model.synchronised()
        answer = answerer.answer(QUESTION, [page])
        return answer, self.model.synchronised() - started


def make_rig(name: str, folder: Path, *, scale: int, dtype: str, device: str, global_view: bool = False) -> Rig:
    model = open_random(name, folder, scale=scale, dtype=dtype, device=device)
    config = load_config(recipe_path(model.family))
    aligner = config.aligner.model_copy(update={"dim": config.aligner.dim // scale})
    config = config.model_copy(update={"aligner": aligner})
    pixels = config.backbone.options.get("max_pixels")
    looking = model if pixels is None else open_model(folder, dtype=dtype, device=device, max_pixels=pixels)
    backbone = VlmBackbone(model.family, looking)
    untrained = make_aligner(config, backbone).eval().requires_grad_(False)
    run = Run(folder, config, backbone, untrained, {}, {"train": [], "validation": []}, {})
    return Rig(model, run.to(model.device), global_view)


def noise_page(width: int, height: int) -> PageInput:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    return PageInput("noise", width, height, PageWords(), lambda: image)


class Memory:
    """Peak memory since it was last reset, in bytes."""

    def __init__(self, device: torch.device) -> None:
        self.is_cuda = device.type == "cuda"
        self.before = torch.cuda.memory_allocated() if self.is_cuda else self._resident("VmRSS")
        self.reset()

    def reset(self) -> None:
        if self.is_cuda:
            torch.cuda.reset_peak_memory_stats()
        else:
            Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated() if self.is_cuda else self._resident("VmHWM")

    @staticmethod
    def _resident(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def measure(
    rig: Rig, page: PageInput, coverages: list[float | None], repeats: int, warmups: int
) -> list[dict[str, Any]]:
    """Each side `repeats` times, one after the other."""
    rig.answer(0.5, noise_page(120, 90))  # libraries are loaded, so that their memory is not counted
    memory = Memory(rig.model.device)
    answers: list[list[tuple[Answer, float]]] = [[] for _ in coverages]
    peaks, errors = [0] * len(coverages), [""] * len(coverages)
    for number in range(warmups + repeats):
        for side, coverage in enumerate(coverages):
            if errors[side]:
                continue
            memory.reset()
            try:
                found = rig.answer(coverage, page)
            except PinpointError as error:  # a GPU whose memory is full
                errors[side] = str(error)
                continue
            peaks[side] = max(peaks[side], memory.peak())
            if number >= warmups:
                answers[side].append(found)
    typical = STATISTICS[statistic_name(rig.model.device.type)]
    return [
        {"coverage": coverage} | ({"error": error} if error else summary(own, typical, peak, peak - memory.before))
        for coverage, own, peak, error in zip(coverages, answers, peaks, errors, strict=True)
    ]


def statistic_name(device: str) -> str:
    """A GPU does nothing else meanwhile; on a CPU the least is what other work disturbed least."""
    return "median" if device.startswith("cuda") else "least"


def summary(
    answers: list[tuple[Answer, float]], typical: Callable[[list[float]], float], peak: int, above: int
) -> dict[str, Any]:
    answer = answers[-1][0]
    seconds = {stage: typical([one.seconds.get(stage, 0.0) for one, _ in answers]) for stage in STAGES}
    total = typical([clock for _, clock in answers])
    return {
        "visual_tokens": answer.visual_tokens,
        "vanilla_tokens": answer.vanilla_tokens,
        "budget_used": answer.budget_used,
        "regions": len(answer.regions),
        "seconds": seconds | {"first_token": total},
        "every": {
            "prefill": [one.seconds["prefill"] for one, _ in answers],
            "first_token": [clock for _, clock in answers],
        },
        "share_of_stage_one": {
            "select": seconds["select"] / total,
            "encode_and_select": (seconds["encode"] + seconds["select"]) / total,
        },
        "peak_bytes": peak,
        "peak_bytes_above_weights": above,
        "flops": dict(answer.flops),
    }


def add_ratios(sides: list[dict[str, Any]]) -> None:
    """Of every side to the first, which is vanilla."""
    whole = sides[0]
    for side in sides:
        if "error" in side or "error" in whole:
            continue
        side["ratio_to_vanilla"] = {
            "prefill": side["seconds"]["prefill"] / whole["seconds"]["prefill"],
            "first_token": side["seconds"]["first_token"] / whole["seconds"]["first_token"],
            "peak": side["peak_bytes"] / whole["peak_bytes"],
            "peak_above_weights": side["peak_bytes_above_weights"] / whole["peak_bytes_above_weights"],
            "flops": sum(side["flops"].values()) / sum(whole["flops"].values()),
        }


def seconds_to_prepare(model: VisionLanguageModel, page: PageInput) -> float:
    """Resizing, cutting and normalising a page's pixels, which happens on the CPU."""
    layout, seconds = model.layout(page.width, page.height), []
    for _ in range(3):
        started = model.synchronised()
        model.prepare(page.load_image(), layout)
        seconds.append(model.synchronised() - started)
    return median(seconds)


def run_here(arguments: argparse.Namespace) -> dict[str, Any]:
    """All pages in this process, their sides in turns, so that what else runs on the machine troubles all alike."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / arguments.model
        names = ("scale", "dtype", "device", "global_view")
        rig = make_rig(arguments.model, folder, **{name: getattr(arguments, name) for name in names})
        pages = []
        for width, height in arguments.page:
            page = noise_page(width, height)
            sides = measure(rig, page, arguments.coverage, arguments.repeats, arguments.warmups)
            pages.append(
                {"width": width, "height": height, "seconds_to_prepare": seconds_to_prepare(rig.model, page)}
                | {"sides": sides}
            )
    return {"rig": described(rig), "pages": pages}


def described(rig: Rig) -> dict[str, Any]:
    weights, aligner = rig.model.weights, rig.run.aligner
    return {
        "parameters": sum(weight.numel() for weight in weights.parameters()),
        "attention": weights.config._attn_implementation,
        "aligner": rig.run.config.aligner.model_dump()
        | {"parameters": sum(weight.numel() for weight in aligner.parameters())},
        "windows": rig.run.config.windows.model_dump(),
    }


def measure_memory_apart(arguments: argparse.Namespace, found: dict[str, Any]) -> None:
    """Of every page and side, once more in a process of its own: resident memory is a process's, not a side's."""
    for page in found["pages"]:
        for side in page["sides"]:
            [alone] = _child(arguments, f"{page['width']}x{page['height']}", side["coverage"])["pages"]
            side |= {name: alone["sides"][0][name] for name in ("peak_bytes", "peak_bytes_above_weights")}


def _child(arguments: argparse.Namespace, page: str, coverage: float | None) -> dict[str, Any]:
    options = [f"--{name}={getattr(arguments, name)}" for name in ("model", "device", "dtype", "scale", "threads")]
    options += ["--global-view"] * arguments.global_view
    side = "vanilla" if coverage is None else str(coverage)
    command = [sys.executable, __file__, *options, "--repeats=1", "--warmups=0", f"--page={page}", f"--side={side}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def device_name(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


def account(arguments: argparse.Namespace, found: dict[str, Any]) -> dict[str, Any]:
    """Everything, JSON-ready."""
    for page in found["pages"]:
        add_ratios(page["sides"])
    return {
        "benchmark": "prefill",
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": arguments.model,
        "weights": "random",
        "scale": arguments.scale,
        "dtype": arguments.dtype,
        "device": device_name(arguments.device),
        "threads": arguments.threads or torch.get_num_threads(),
        "versions": {
            "pinpoint-data": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "cuda": torch.version.cuda,
        },
        "global_view": arguments.global_view,
        "repeats": arguments.repeats,
        "statistic": statistic_name(arguments.device),
        "paper": {"prefill_ratio": PAPER_RATIO, "coverage": PAPER_COVERAGE},
        **found["rig"],
        "pages": found["pages"],
    }


def table(result: dict[str, Any]) -> str:
    size = "" if result["scale"] == 1 else f", scaled down by {result['scale']}"
    lines = [
        f"{result['model']}{size}: {result['parameters'] / 1e6:,.0f} M random weights in {result['dtype']}",
        f"{result['device']}, seconds, {result['statistic']} of {result['repeats']}",
    ]
    for page in result["pages"]:
        prepare = f"of its encoding, {page['seconds_to_prepare']:.3f} s prepare the pixels"
        lines.append(f"page of {page['width']} x {page['height']}; {prepare}")
        cells = [list(COLUMNS), *(row(side) for side in page["sides"])]
        widths = [max(8, *(len(cell) for cell in column)) for column in zip(*cells, strict=True)]
        lines += [" ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
        lines += [f"{COLUMNS['coverage'](side)}: {side['error']}" for side in page["sides"] if "error" in side]
    lines.append(
        f"/v: ratio to vanilla; the paper's, LLaVA-NeXT-7B at {PAPER_COVERAGE}: prefill {PAPER} = {PAPER_RATIO:.2f}"
    )
    return "\n".join(lines)


COLUMNS = {
    "coverage": lambda side: "vanilla" if side["coverage"] is None else f"{side['coverage']:g}",
    "tokens": lambda side: f"{side['visual_tokens']:,}",
    "regions": lambda side: f"{side['regions']}",
    **{stage: lambda side, stage=stage: f"{side['seconds'][stage]:.3f}" for stage in (*STAGES, "first_token")},
    "prefill/v": lambda side: f"{side['ratio_to_vanilla']['prefill']:.2f}",
    "first_token/v": lambda side: f"{side['ratio_to_vanilla']['first_token']:.2f}",
    "FLOPs/v": lambda side: f"{side['ratio_to_vanilla']['flops']:.2f}",
    "select %": lambda side: f"{side['share_of_stage_one']['select']:.1%}",
    "+encode %": lambda side: f"{side['share_of_stage_one']['encode_and_select']:.1%}",
    "peak GiB": lambda side: f"{side['peak_bytes'] / 2**30:.2f}",
    "-weights": lambda side: f"{side['peak_bytes_above_weights'] / 2**30:.2f}",
}


def row(side: dict[str, Any]) -> list[str]:
    cells = []
    for column in COLUMNS.values():
        try:
            cells.append(column(side))
        except KeyError:  # a side that did not run, or one whose vanilla did not
            cells.append("-")
    return cells


def result_file(result: dict[str, Any], device: str) -> Path:
    name = result["device"] if device.startswith("cuda") else "cpu"
    scale = "" if result["scale"] == 1 else f"-scaled-by-{result['scale']}"
    view = "-with-global-view" if result["global_view"] else ""
    slug = re.sub(r"[^a-z0-9.]+", "-", f"{name}-{result['model']}{scale}{view}-prefill".lower())
    return Path(__file__).parent / "results" / f"{slug}.json"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="llava-next-7b")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", help="bfloat16 on a GPU, float32 on a CPU by default")
    parser.add_argument("--scale", type=int, help="1 on a GPU, 8 on a CPU by default")
    parser.add_argument("--page", nargs="+", default=["1700x2200", "1000x3000"], help="width x height in pixels")
    parser.add_argument("--coverage", type=float, nargs="+", default=[0.6, 0.25, 0.1])
    parser.add_argument("--global-view", action="store_true", help="show the whole page too, in front of its regions")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--warmups", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="of a CPU; 0: PyTorch's own choice")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/DEVICE-MODEL-prefill.json")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    is_cuda = arguments.device.startswith("cuda")
    arguments.dtype = arguments.dtype or ("bfloat16" if is_cuda else "float32")
    arguments.scale = arguments.scale or (1 if is_cuda else 8)
    arguments.page = [tuple(map(int, page.split("x"))) for page in arguments.page]
    if arguments.side:
        arguments.coverage = [None if arguments.side == "vanilla" else float(arguments.side)]
    else:
        arguments.coverage = [None, *arguments.coverage]
    return arguments


def main() -> None:
    arguments = parsed()
    transformers.logging.disable_progress_bar()
    if arguments.side:
        print(json.dumps(run_here(arguments)))
        return
    found = run_here(arguments)
    if not arguments.device.startswith("cuda"):
        measure_memory_apart(arguments, found)
    result = account(arguments, found)
    print(table(result))
    hand_over(
        Ratio(
            f"{result['model']}, coverage {side['coverage']:g}, page of {page['width']} x {page['height']}",
            "seconds to the first token",
            side["seconds"]["first_token"],
            "all of the page's tokens",
            page["sides"][0]["seconds"]["first_token"],
        )
        for page in result["pages"]
        for side in page["sides"]
        if "ratio_to_vanilla" in side and side["coverage"] is not None
    )
    if arguments.save:
        file = result_file(result, arguments.device)
        file.parent.mkdir(exist_ok=True)
        write_json(file, result)
        print(f"saved: {file}")


if __name__ == "__main__":
    main()
