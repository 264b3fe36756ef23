"""The ranker: a small network that says where on a page the evidence for a question is likely to be.

It is the selector to choose where no vision-language model is at hand: question and page in, the likely share of the
evidence in every token out, in milliseconds on a CPU and without torch. Nothing of it sees word meanings or image
content; what it has learnt is how a layout, and where the question's words stand in it, point to evidence.

    read      terms, words, pixels, blocks -> page.read_page         a page, once for all questions
              question.read_question, matches -> relations.relate    a question against its pages
    score     model.Ranker                                           a few small networks, averaged
    train     groups, examples -> fit.fit_ranker                     needs torch
"""

from training.ranker.model import SHIPPED, Ranker, ranker_names

__all__ = ["SHIPPED", "Ranker", "ranker_names"]
