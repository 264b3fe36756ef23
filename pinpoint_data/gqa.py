"""GQA's answer score: exact match, with the normalisation that published LLaVA results rest on."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from pinpoint_data.errors import UsageError


def gqa_match(prediction: str, answers: Sequence[str]) -> float:
    """Whether a prediction is one of the accepted answers.

    GQA's own script (https://cs.stanford.edu/people/dorarad/gqa/evaluate.html) compares texts exactly; its answers are
    lower-case words. Models write "Yes." instead: LLaVA's `convert_gqa_for_eval.py` therefore lower-cases a prediction
    and takes full stops off its end, and that is the rule here, for both sides. Beyond it only what nobody can see is
    evened out: Unicode compatibility forms, runs of whitespace, blanks and line breaks at both ends.

    Nothing else is forgiven. VQA-v2's rule (articles, number words, all punctuation) would call "1.5" and "15", or "a"
    and nothing, the same answer, which does harm on documents; and it would not be the published figure.

    The corpus score is the mean over questions.

    Args:
        prediction: the model's answer.
        answers: the accepted answers, at least one.

    Returns:
        1.0 or 0.0.

    Raises:
        UsageError: there is no accepted answer.
    """
    if isinstance(answers, str) or not answers:
        raise UsageError(f"answers must be a sequence of at least one text, got {answers!r}")
    wanted = {_normal(answer) for answer in answers}
    return float(_normal(prediction) in wanted)


def _normal(text: str) -> str:
    plain = " ".join(unicodedata.normalize("NFKC", text).lower().split())
    return plain.rstrip(". ")
