"""Operations of answering from selected regions, against reading the page whole: counted, not measured.

python benchmarks/bench_flops.py

A page of DocVQA's usual size; the model's sizes are those of its published checkpoint. `on 1,280 tokens` selects on
few pixels, as the recipe of Qwen2-VL does.
"""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.ratios import Ratio, hand_over

SETTINGS = {
    "LLaVA-NeXT-7B": ("--model", "llava-next-7b"),
    "Qwen2-VL-7B, selecting at full resolution": ("--model", "qwen2-vl-7b"),
    "Qwen2-VL-7B, selecting on 1,280 tokens": ("--model", "qwen2-vl-7b", "--select-pixels", "1003520"),
}


def main() -> None:
    for name, options in SETTINGS.items():
        command = [sys.executable, "-m", "pinpoint_data", "flops", *options, "--preset", "spdocvqa", "--json"]
        counted = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        whole = counted["vanilla"]["total"]
        for side in counted["selected"]:
            what = f"operations of {name}, coverage {side['coverage']:g}"
            print(f"{what}: {side['total']:.4g}, of the whole page {side['ratio']:.1%}")
            hand_over([Ratio(what, "FLOPs", side["total"], "all of the page's tokens", whole)])


if __name__ == "__main__":
    main()
