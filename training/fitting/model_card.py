"""The model card of a run, made from the run's own files and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pinpoint_data.atomic import write_text
from pinpoint_data.errors import TrainingError
from training.checkpoint import CARD_FILE, CONFIG_FILE, DOCUMENTS_FILE, METRICS_FILE
from training.fitting.metrics import read_metrics

_SCORES = {"recall": "evidence recall at 0.25", "top1": "top-1 accuracy", "auc": "pairs ranked rightly"}


def write_card(folder: Path, *, finished: bool) -> None:
    """Write `README.md` from `config.json`, `documents.json` and `metrics.jsonl` of the folder.

    Raises:
        TrainingError: One of them, left by an earlier process, lacks what a card tells.
    """
    described = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    documents = json.loads((folder / DOCUMENTS_FILE).read_text(encoding="utf-8"))
    records = list(read_metrics(folder / METRICS_FILE))
    try:
        card = card_text(folder.resolve().name, described, documents, records, finished=finished)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise TrainingError(f"{CONFIG_FILE} or {METRICS_FILE} is damaged: {error!r}", file=folder) from error
    write_text(folder / CARD_FILE, card)


def card_text(
    name: str,
    described: Mapping[str, Any],
    documents: Mapping[str, Sequence[str]],
    records: Sequence[Mapping[str, Any]],
    *,
    finished: bool,
) -> str:
    """The card as Markdown.

    Args:
        name: Title.
        described: `config.json`.
        documents: `documents.json`.
        records: `metrics.jsonl`.
        finished: Whether all epochs are done.
    """
    epochs = [record for record in records if record["kind"] == "epoch"]
    steps = [record for record in records if record["kind"] == "step"]
    state = "finished" if finished else f"unfinished, {len(epochs)} of {described['config']['fit']['epochs']} epochs"
    parts = [
        _head(name, state),
        _data(described["data"], documents),
        _scores(epochs, described["config"]["fit"]["best_by"]),
        _training(described, steps, epochs[-1].get("device", "cpu") if epochs else "cpu"),
        _LIMITS,
    ]
    return "\n".join(parts)


def _head(name: str, state: str) -> str:
    return f"""---
library_name: pinpoint-data
pipeline_tag: document-question-answering
tags: [document-question-answering, evidence, visual-token-selection]
---
# {name}

An aligner after PinPoint (arXiv 2603.22815): it scores windows of visual tokens of a document page by whether a
question needs them. Run {state}.

```python
from training import load_run

run = load_run("{name}")
scores = run.score_windows(pages, windows, "What was the revenue in 2019?")
```

Or, for one page: `pinpoint select page.png "What was the revenue in 2019?" --run {name}`. A score is comparable among
the windows of one question's pages, not among questions.
"""


def _data(data: Mapping[str, Any], documents: Mapping[str, Sequence[str]]) -> str:
    counts = data["counts"]
    lines = ["## Data", "", f"Dataset folder `{data['dataset']}`, sides disjoint by document.", ""]
    lines += ["| source | questions learnt from | questions held out |", "|---|---|---|"]
    for source in sorted({*counts["train"], *counts["validation"]}):
        lines.append(f"| {source} | {counts['train'].get(source, 0):,} | {counts['validation'].get(source, 0):,} |")
    train, held_out = (sum(counts[side].values()) for side in ("train", "validation"))
    lines.append(f"| all | {train:,} | {held_out:,} |")
    lines += ["", f"Documents: {len(documents['train']):,} learnt from, {len(documents['validation']):,} held out"]
    lines[-1] += " (`documents.json` lists them)."
    lines.append("")
    for reason, number in counts["left_out"].items():
        lines.append(f"- left out, {reason}: {number:,} questions")
    lines.append(f"- no negative window, so no intra loss: {counts['without_negative']:,} of the questions learnt from")
    lines += [f"- fingerprint of questions and labels: `{data['fingerprint']}`", ""]
    return "\n".join(lines)


def _scores(epochs: Sequence[Mapping[str, Any]], best_by: str) -> str:
    if not any(epoch["validation"] for epoch in epochs):
        return "## Scores\n\nNo question was held out: these are the weights of the last epoch, untested.\n"
    lines = ["## Scores on the held-out questions", ""]
    lines += ["| epoch | " + " | ".join(_SCORES.values()) + " |", "|---" * (len(_SCORES) + 1) + "|"]
    kept = max((epoch["epoch"] for epoch in epochs if epoch["best"]), default=None)
    for epoch in epochs:
        mark = " (kept)" if epoch["epoch"] == kept else ""
        values = " | ".join(_number(epoch["validation"].get(name)) for name in _SCORES)
        lines.append(f"| {epoch['epoch']}{mark} | {values} |")
    lines += [
        "",
        f"The epoch was chosen by `{best_by}` on these same questions, so the kept row is a little hopeful. Whole",
        "windows are taken in rank order until they hold 0.25 of all tokens. `pinpoint evaluate` gives all scores with",
        "intervals, beside random choice, text density, BM25 and the oracle.",
        "",
    ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _training(described: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], device: str) -> str:
    seconds = sum(step["ms"] for step in steps) / 1e3
    last = f"{steps[-1]['loss']:.4f}" if steps else "none"
    values = [
        f"- {section}: " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in settings.items())
        for section, settings in described["config"].items()
    ]
    return "\n".join(
        [
            "## How it was made",
            "",
            f"`pinpoint train` of {described['program']}, torch {described['torch']}, on {device}:",
            f"{len(steps):,} steps in {seconds:,.0f} s, last loss {last}. Same data, settings and machine: same",
            "weights, to the bit on a CPU.",
            "",
            f"- tokens: {json.dumps(described['backbone'])}",
            *values,
            "",
        ]
    )


_LIMITS = """## Limitations

- It ranks windows; it neither answers questions nor knows when a page holds no answer.
- It has seen the kinds of pages listed above. Scores on other layouts, languages or scripts are unknown.
- With the backbone `ocr-grid` a page's words decide almost everything: what OCR misses is not found, and a word is
  related to another only through its spelling and through what training showed.
- Gold boxes differ between sources (whole layout blocks in some, single words in others); so does what "found" means.
- The licences of the pages and questions it was trained on apply; see the sources.
"""
