"""The card of a ranker, made from the facts in its file and nothing else."""

from __future__ import annotations

from training.ranker.features import FEATURE_VERSION, FEATURES
from training.ranker.model import Ranker


def card_text(ranker: Ranker) -> str:
    """The card as Markdown."""
    facts = ranker.facts
    settings = facts["settings"]
    questions = "\n".join(f"| {name} | {count:,} |" for name, count in facts["questions"].items())
    licence = facts.get("licence") or "not stated by whoever trained it"
    return f"""---
library_name: pinpoint-data
pipeline_tag: document-question-answering
tags: [document-question-answering, evidence, learning-to-rank, visual-token-selection]
---

# {ranker.name}

A ranker of pinpoint-data: says which tokens of a document's pages hold the evidence for a question, from the words'
places and the page's ink. {ranker.members} networks of {ranker.parameters:,} weights together, over {len(FEATURES)}
features a token (version {FEATURE_VERSION}); no vision-language model, no torch.

```python
from training.ranker import Ranker
from training.window_scorers import RankerScorer

scorer = RankerScorer(Ranker.load("{ranker.name}"))  # the folder it is in, or the name of a shipped one
```

## Licence of the weights

{licence}

## Trained on

| source | questions |
|---|---:|
{questions}

{facts["documents"]["train"]:,} documents were learnt from and {facts["documents"]["validation"]:,} held out
(part 1 of {facts["folds"]}; documents that share a page file are in one part). The file lists the first 12 digits of
the SHA-256 of every page learnt from, and `pinpoint evaluate` warns where such a page is scored. It holds no text and
no image of any document.

Trained by {facts["program"]} with torch {facts["torch"]}: {settings["epochs"]} epochs of {settings["per_source"]}
questions a source, batches of {settings["batch"]}, learning rate {settings["learning_rate"]:g}, weight decay
{settings["weight_decay"]:g}, seed {settings["seed"]}.

## Limits

- It knows no meaning of words: a question whose words are not on the page is answered by layout alone.
- English stemming and question cues; left-to-right scripts.
- It needs the page's words; a page without is judged by its ink.
- It says where evidence is likely, never whether there is any.
"""
