"""Recall, time and memory of RapidOCR on a 1,200 x 9,000 page: tiled by us, in parts, and as the library does it.

    python benchmarks/bench_tall_page_ocr.py            # about two minutes on two cores

The page is drawn with known words. A word counts as found when a word of exactly its text has its centre inside
the true box (and, second figure, an IoU of at least 0.5 with it); every found word serves one true word. Truth is
the font-height box. Each way runs in a process of its own, models loaded before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.ratios import Ratio, hand_over
from pinpoint_data.words.base import PageWords
from pinpoint_data.words.rapid import recognise
from pinpoint_data.words.tiles import Tiling, read_tiled

WIDTH, HEIGHT, PART = 1200, 9000, 1500
VOCABULARY = [
    *("revenue", "growth", "market", "report", "annual", "share", "energy", "health", "global", "people"),
    *("students", "income", "budget", "percent", "total", "survey", "average", "product", "online", "mobile"),
    *("water", "climate", "country", "region", "population", "company", "quarter", "margin"),
]
Truth = list[tuple[str, tuple[float, float, float, float]]]


def draw(seed: int) -> tuple[Image.Image, Truth]:
    """The page, and its words with their font-height boxes."""
    source = random.Random(seed)
    page = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(page)
    truth: Truth = []
    y = 30.0
    while True:
        size = source.choice([18, 20, 22, 24, 28, 34, 44])
        font = ImageFont.load_default(size)
        ascent, descent = font.getmetrics()
        if y + ascent + descent > HEIGHT - 20:
            return page, truth
        x = source.uniform(40, 120)
        while True:
            number = f"{source.randint(1, 99)}.{source.randint(0, 9)}%" if source.random() < 0.2 else ""
            word = number or source.choice(VOCABULARY)
            length = font.getlength(word)
            if x + length > WIDTH - 40 or source.random() < 0.12:
                break
            pen.text((x, y), word, font=font, fill=source.choice(["black", "#103060", "#803010"]))
            truth.append((word, (x, y, x + length, y + ascent + descent)))
            x += length + font.getlength("  ") + source.uniform(0, 60)
        y += ascent + descent + source.uniform(10, 70)


def recall(truth: Truth, words: PageWords) -> tuple[float, float, int]:
    """Share of true words found by centre, and by IoU of 0.5, and the number of found words left over."""
    by_centre, by_iou, used = 0, 0, set()
    for text, (x0, y0, x1, y1) in truth:
        best, best_iou = None, -1.0
        for index, (found, (a0, b0, a1, b1)) in enumerate(zip(words.texts, words.xyxy, strict=True)):
            inside = x0 < (a0 + a1) / 2 < x1 and y0 < (b0 + b1) / 2 < y1
            if found != text or not inside or index in used:
                continue
            shared = max(0.0, min(x1, a1) - max(x0, a0)) * max(0.0, min(y1, b1) - max(y0, b0))
            iou = shared / ((x1 - x0) * (y1 - y0) + (a1 - a0) * (b1 - b0) - shared)
            if iou > best_iou:
                best, best_iou = index, iou
        if best is not None:
            used.add(best)
            by_centre += 1
            by_iou += best_iou >= 0.5
    return by_centre / len(truth), by_iou / len(truth), len(words) - len(used)


def tiled(pixels: np.ndarray, threads: int) -> PageWords:
    return read_tiled(pixels, Tiling(), lambda tile: recognise(tile, threads))


def whole(pixels: np.ndarray, threads: int) -> PageWords:
    return recognise(pixels, threads)


def in_parts(pixels: np.ndarray, threads: int) -> PageWords:
    found = [(top, recognise(pixels[top : top + PART], threads)) for top in range(0, HEIGHT, PART)]
    return PageWords(
        [text for _, words in found for text in words.texts],
        np.concatenate([words.xyxy + np.array([0.0, top, 0.0, top]) for top, words in found]),
    )


def library(pixels: np.ndarray, threads: int) -> PageWords:
    from rapidocr import RapidOCR

    settings = {"Global.log_level": "critical", "EngineConfig.onnxruntime.intra_op_num_threads": threads}
    lines = RapidOCR(params=settings)(pixels, return_word_box=True).word_results or ()
    words = [(text, np.array(quad, dtype=float)) for line in lines for text, _, quad in line if quad is not None]
    boxes = np.array([[*quad.min(axis=0), *quad.max(axis=0)] for _, quad in words]).reshape(-1, 4)
    return PageWords([text for text, _ in words], boxes)


WAYS = {"tiled": tiled, "parts": in_parts, "untiled": whole, "library defaults": library}


def measure(way: str, seed: int, threads: int) -> dict[str, float]:
    """Run one way in this process."""
    page, truth = draw(seed)
    pixels = np.ascontiguousarray(np.asarray(page)[:, :, ::-1])
    recognise(pixels[:320, :400], threads)
    started, cpu_started = time.perf_counter(), time.process_time()
    words = WAYS[way](pixels, threads)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    by_centre, by_iou, extra = recall(truth, words)
    uncut = [entry for entry in truth if int(entry[1][1]) // PART == int(entry[1][3]) // PART]
    return {
        "words": len(truth),
        "recall": by_centre,
        "recall_iou": by_iou,
        "recall_uncut": recall(uncut, words)[0],
        "extra": extra,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mb": peak / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = {}
    for way in arguments.ways:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            results[way] = pool.submit(measure, way, arguments.seed, arguments.threads).result()
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    words = next(iter(results.values()))["words"]
    print(f"{WIDTH} x {HEIGHT} pixels, {words} words, {arguments.threads} threads, parts of {PART} rows")
    heads = f"{'recall':>8}{'IoU>=.5':>9}{'uncut*':>8}{'extra':>7}{'s':>8}{'CPU s':>8}{'CPU ratio':>10}{'peak MB':>9}"
    print(f"{'way':18}{heads}")
    for way, found in results.items():
        ratio = found["cpu_seconds"] / results.get("library defaults", found)["cpu_seconds"]
        print(
            f"{way:18}{found['recall']:8.3f}{found['recall_iou']:9.3f}{found['recall_uncut']:8.3f}{found['extra']:7.0f}"
            f"{found['seconds']:8.1f}{found['cpu_seconds']:8.1f}{ratio:10.2f}{found['peak_mb']:9.0f}"
        )
    library, tiled = results.get("library defaults"), results.get("tiled")
    if library and tiled:
        what, who = f"words of a {WIDTH:,} x {HEIGHT:,} page", "RapidOCR's defaults"
        recall, seconds = (tiled[name] for name in ("recall", "cpu_seconds"))
        hand_over(
            [
                Ratio(what, "recall", recall, who, library["recall"], less_is_better=False),
                Ratio(what, "CPU seconds", seconds, who, library["cpu_seconds"]),
            ]
        )
    print("* words that no border of the parts cuts; the ratio is to the library's defaults")


if __name__ == "__main__":
    main()
