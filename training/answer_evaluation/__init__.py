"""Answers of a language model side by side: the unchanged model and what it says of selected regions.

evaluation, summary = evaluate_answers(dataset, workspace, run, model, Path("out"), coverages=(0.6, 0.25))
summary["scores"]["all"]["pinpoint@0.25"]["anls"]["mean"]
"""

from training.answer_evaluation.collect import AnswerEvaluation, collect_answers
from training.answer_evaluation.log import AnswerLog, answer_key
from training.answer_evaluation.report import answers_markdown, answers_terminal
from training.answer_evaluation.run import evaluate_answers
from training.answer_evaluation.summary import summarise_answers

__all__ = [
    "AnswerEvaluation",
    "AnswerLog",
    "answer_key",
    "answers_markdown",
    "answers_terminal",
    "collect_answers",
    "evaluate_answers",
    "summarise_answers",
]
