"""A benchmark's summary that was never measured, and examples over drawn pages, for the tests of its figures."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pinpoint_data.grids import TokenGrid, even_grid
from training.benchmark.examples import Example, ExamplePage
from training.benchmark.families import FAMILIES, family_of, headline
from training.evaluation.question_scores import share_name

BUDGETS = (0.05, 0.1, 0.2, 0.25, 0.33, 0.5, 0.6)
NAMES = [name for names in FAMILIES.values() for name in names][:35]
HOSTILE = [
    "</h1><script>alert(1)</script>",
    "</script><script>document.title='run'</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' onmouseover='alert(2)' <!-- ]]> &amp;lt; {{ 7 * 7 }}",
    "https://evil.example/?q=1 url(https://evil.example/x)",
    "right\u202eto left, bell\x07, null\x00, half \ud800, line\u2028end, tag\U000e0041",
    "é € 漢字 👍 " + "x" * 3000,
]
_STRATA = {
    "role": ("answer", "support"),
    "box_size": ("<0.1 %", "0.1-0.3 %", "0.3-1 %", "1-5 %", ">=5 %"),
    "boxes": ("1", "2", "3-5", "6+"),
    "position": ("0-20 %", "20-40 %", "40-60 %", "60-80 %", "80-100 %"),
    "pages": ("single", "several"),
    "source": ("infovqa", "mpdocvqa", "spdocvqa"),
}
_BASE = {"controls": 0.9, "oracles": 0.16, "trained": 0.35, "features": 0.7, "vision tower": 0.6, "decoder": 0.5}


def score(mean: float, width: float = 0.02, n: int = 480) -> dict[str, Any]:
    return {"mean": mean, "low": mean - width, "high": mean + width, "n": n}


def summary(names: list[str] | None = None, budgets: tuple[float, ...] = BUDGETS, **facts: Any) -> dict[str, Any]:
    """Scores that rise with the budget, in-decoder methods seeing more on average than they end with."""
    names = NAMES if names is None else names
    rng = np.random.default_rng(0)
    bend = {name: _BASE.get(family_of(name), 0.8) * rng.uniform(0.8, 1.25) for name in names}
    bias = {name: rng.normal(0, 0.12, 5) for name in names}
    recall = {name: [budget ** bend[name] * 0.97 for budget in budgets] for name in names}
    ats = [share_name(budget) for budget in budgets]

    def at_budgets(name: str, shift: float = 0.0) -> dict[str, Any]:
        return {
            f"evidence_recall@{at}": score(min(1, max(0, value + shift)))
            for at, value in zip(ats, recall[name], strict=True)
        }

    scores = {}
    for name in names:
        own = at_budgets(name)
        for at, budget, value in zip(ats, budgets, recall[name], strict=True):
            layers = budget + (1 - budget) * 0.2 if family_of(name) == "decoder" else budget * 0.999
            own |= {
                f"all_hit@{at}": score(value**1.5),
                f"any_hit@{at}": score(value**0.8),
                f"precision@{at}": score(0.02 * value / budget, 0.001),
                f"budget@{at}": score(budget * 0.999, 0.0),
                f"layer_budget@{at}": score(layers, 0.0),
                f"layer_recall@{at}": score(min(1, value + 0.1)),
            }
        if family_of(name) in ("trained", "controls"):
            own["full_coverage_budget"] = score(0.6)
        scores[name] = own
    strata = {
        dimension: {
            label: {
                "questions": 100 + place,
                "boxes": 150 + place,
                "scores": {name: at_budgets(name, bias[name][place % 5]) for name in names},
            }
            for place, label in enumerate(labels)
        }
        for dimension, labels in _STRATA.items()
    }
    differences: dict[str, Any] = {}
    for a, b in combinations(names, 2):
        differences.setdefault(a, {})[b] = {
            f"{metric}@{at}": score(x - y)
            for metric in ("evidence_recall", "all_hit")
            for at, x, y in zip(ats, recall[a], recall[b], strict=True)
        }
    return {
        "schema": "pinpoint-benchmark",
        "version": 1,
        "budgets": list(budgets),
        "cost_budget": headline(budgets),
        "questions": {
            "scored": 480,
            "documents": 210,
            "pages_per_question": 2.1,
            "by_source": {"infovqa": 200, "mpdocvqa": 120, "spdocvqa": 160},
            "left_out": {"status no-answer": 12},
            "refused": {"missing-image": 2},
        },
        "clipping": {"questions": 7, "mean_share_lost": 0.0004, "largest_share_lost": 0.08},
        "bootstrap": {"unit": "document", "resamples": 1000, "seed": 0, "level": 0.95},
        "selectors": list(names),
        "scores": scores,
        "lift": {
            "random": {
                name: {
                    f"evidence_recall@{at}": score(v / b) for at, v, b in zip(ats, recall[name], budgets, strict=True)
                }
                for name in names
                if name != "random"
            }
        },
        "differences": differences,
        "strata": strata,
        "costs": {name: _cost(family_of(name), bend[name]) for name in names},
        "program": "pinpoint-data 0.1.0",
        "dataset": "documents-v1",
        "split": "validation",
        "backbone": "llava-next",
        "warnings": [],
        "unavailable": {"vtw": "needs decoder: name a vision-language model (--model)"},
    } | facts


def _cost(family: str, bend: float) -> dict[str, Any]:
    signals = {"vision tower": {"vision": 0.08}, "decoder": {"decoder": 0.9}, "trained": {"question": 0.002}}
    seconds = {"choice": 0.003 * bend} | ({"encode": 0.4} if family != "controls" else {}) | signals.get(family, {})
    return {
        "seconds": {part: {"mean": value, "median": value * 0.9, "n": 480} for part, value in seconds.items()},
        "flops": {part: {"mean": value * 3e12, "n": 480} for part, value in seconds.items()},
    }


def drawn_page(width: int, height: int, number: int = 1, noise: int = 0) -> Image.Image:
    """Lines of text, a coloured bar and, with `noise`, a picture: about as hard on JPEG as a scan."""
    rng = np.random.default_rng(number)
    page = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(max(8, height // 75))
    pen.rectangle((0, 0, width, height // 18), fill=(40, 90, 160))
    for y in range(height // 14, height - height // 30, height // 48):
        words = " ".join("".join(rng.choice(list("etaoinshrdlu"), rng.integers(2, 9))) for _ in range(14))
        pen.text((width // 16, y), words, "black", font)
    if noise:
        grain = rng.integers(0, 256, (noise, noise, 3), dtype=np.uint8)
        page.paste(Image.fromarray(grain).resize((width // 2, height // 4)), (width // 4, height // 2))
    return page


def example(
    names: list[str] | None = None,
    *,
    question: str = "What is the total amount due on the second invoice?",
    size: tuple[int, int] = (400, 520),
    pages: int = 1,
    rows: int = 26,
    cols: int = 20,
    grid: TokenGrid | None = None,
    noise: int = 0,
    **facts: Any,
) -> Example:
    """Random masks of a quarter of the tokens, in blocks and single."""
    names = NAMES if names is None else names
    rng = np.random.default_rng(1)
    grid = grid or even_grid(rows, cols, *size, "test")
    width, height = size
    box = np.array(
        [
            [width * 0.1, height * 0.3, width * 0.5, height * 0.36],
            [width * 0.6, height * 0.8, width * 0.9, height * 0.83],
        ]
    )
    shown = tuple(
        ExamplePage(n + 1, drawn_page(*size, number=n, noise=noise), grid, box if n == 0 else np.zeros((0, 4)))
        for n in range(pages)
    )
    masks = {}
    for name in names:
        block = 1 if rng.random() < 0.4 else int(rng.integers(2, 6))
        coarse = rng.random((pages, -(-grid.rows // block), -(-grid.cols // block))) < 0.25
        fine = coarse.repeat(block, 1).repeat(block, 2)[:, : grid.rows, : grid.cols]
        masks[name] = tuple(fine)
    given = {
        "question_id": "test/1",
        "question": question,
        "answers": ("$ 1,204.50", "1204.50"),
        "budget": 0.25,
        "pages": shown,
        "n_pages": pages,
        "masks": masks,
        "recall": {name: float(rng.random()) for name in names},
        "used": {name: float(np.mean([m.mean() for m in masks[name]])) for name in names},
    }
    return Example(**(given | facts))
