"""The card of a ranker, made from the facts in its file and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinpoint_data.errors import one_line
from training.ranker.features import FEATURE_VERSION, FEATURES
from training.ranker.model import Ranker


def card_text(ranker: Ranker) -> str:
    """The card as Markdown."""
    facts, name = ranker.facts, one_line(ranker.name)
    counts = sorted(facts.get("questions", {}).items())
    questions = "\n".join(f"| {one_line(source)} | {count:,} |" for source, count in counts)
    licence = one_line(facts.get("licence") or "not stated by whoever trained it")
    return f"""---
library_name: pinpoint-data
pipeline_tag: document-question-answering
tags: [document-question-answering, evidence, learning-to-rank, visual-token-selection]
---

# {name}

A ranker of pinpoint-data: says which tokens of a document's pages hold the evidence for a question, from the words'
places and the page's ink. {ranker.members} networks of {ranker.parameters:,} weights together, over {len(FEATURES)}
features a token (version {FEATURE_VERSION}); no vision-language model, no torch.

```python
from training.ranker import Ranker
from training.window_scorers import RankerScorer

scorer = RankerScorer(Ranker.load("{name}"))  # the folder it is in, or the name of a shipped one
```

## Licence of the weights

{licence}

## Trained on

| source | questions |
|---|---:|
{questions}

{_training(facts)}

## Limits

- It knows no meaning of words: a question whose words are not on the page is answered by layout alone.
- English stemming and question cues; left-to-right scripts.
- It needs the page's words; a page without is judged by its ink.
- It says where evidence is likely, never whether there is any.
"""


def _training(facts: Mapping[str, Any]) -> str:
    documents = {side: f"{facts.get('documents', {}).get(side, 0):,}" for side in ("train", "validation")}
    settings = ", ".join(f"{name} {one_line(str(value))}" for name, value in sorted(facts.get("settings", {}).items()))
    return f"""{documents["train"]} documents were learnt from and {documents["validation"]} held out (part 1 of \
{facts.get("folds", 1)}; documents that share a page file
are in one part). The file lists the first 12 digits of the SHA-256 of every page learnt from, and `pinpoint evaluate`
warns where such a page is scored. It holds no text and no image of any document.

Trained by {one_line(facts.get("program", "an unknown program"))} with torch {one_line(facts.get("torch", "unknown"))}:
{settings}."""
