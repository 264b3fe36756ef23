"""Proposals: evidence boxes from the words of a question's pages, for people to check, and their scores."""

from __future__ import annotations

from annotation.proposals.engine import propose_boxes
from annotation.proposals.run import ProposalRun, propose
from annotation.proposals.settings import Proposal, Settings

__all__ = ["Proposal", "ProposalRun", "Settings", "propose", "propose_boxes"]
