"""What papers report, and pages of the benchmarks' usual sizes."""

from __future__ import annotations

from collections.abc import Mapping

BENCHMARKS = ("InfoVQA", "SPDocVQA", "MPDocVQA", "GQA")

PUBLISHED_TFLOPS: Mapping[str, tuple[float, ...]] = {
    "vanilla": (38.98, 51.68, 50.01, 30.39),
    "random": (24.62, 27.70, 26.66, 19.26),
    "FastV": (26.22, 28.10, 29.31, 19.23),
    "PyramidDrop": (26.00, 26.93, 30.82, 20.33),
    "SparseVLM": (27.45, 32.63, 31.66, 17.85),
    "PinPoint": (25.48, 28.44, 28.28, 17.96),
    "ReFIT": (24.58, 28.06, 27.91, 14.94),
}
"""TFLOPs of LLaVA-NeXT-7B on `BENCHMARKS` as the papers report them: PinPoint (arXiv 2603.22815) and its tables of
others, ReFIT (arXiv 2610.09252). What was counted, and over which pages, is not published."""

PUBLISHED_QWEN_RATIO = 0.56
"""FLOPs of PinPoint on Qwen2-VL-7B over vanilla, by the same paper."""

PRESETS: Mapping[str, tuple[tuple[int, int], ...]] = {
    "infovqa": ((967, 2076),),
    "spdocvqa": ((1710, 2220),),
    "mpdocvqa": ((1710, 2220),),
}
"""Pages (width, height) of a typical question. InfographicVQA and DocVQA: medians of width and height over the 216 and
617 images that Visual-CoT's published boxes name. MP-DocVQA draws on DocVQA's archive; the published TFLOPs are those
of one page, so one page it is."""


def published_ratios() -> dict[str, dict[str, float]]:
    """FLOPs over vanilla, by method and benchmark."""
    whole = PUBLISHED_TFLOPS["vanilla"]
    return {
        method: dict(zip(BENCHMARKS, (own / all_ for own, all_ in zip(found, whole, strict=True)), strict=True))
        for method, found in PUBLISHED_TFLOPS.items()
        if method != "vanilla"
    }
