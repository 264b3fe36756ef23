"""Answers to questions over pages, from all of a page's tokens or from the regions that a run selects.

run = load_run("runs/llava")
vanilla, pinpoint = make_answerers(run, coverages=[0.6])
answer = pinpoint.answer("Which year had the highest exports?", pages)
answer.text, answer.visual_tokens / answer.vanilla_tokens
"""

from training.answering.base import Answer, Answerer, Region
from training.answering.opening import answering_model, load_run_for, make_answerers
from training.answering.pinpoint import PinpointAnswerer
from training.answering.vanilla import VanillaAnswerer

__all__ = [
    "Answer",
    "Answerer",
    "PinpointAnswerer",
    "Region",
    "VanillaAnswerer",
    "answering_model",
    "load_run_for",
    "make_answerers",
]
