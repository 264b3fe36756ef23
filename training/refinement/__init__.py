"""Stage two: from the tokens that a selection kept to what the language model reads.

Selected tokens are either read as they are, at their places in the full page, or their regions are cut out of the
page's own pixels and encoded anew, each alone.
"""

from training.refinement.crops import Crop, make_crops, page_rectangles, selected_windows
from training.refinement.parts import crop_pages, encode_crops, lead_with_global_views
from training.refinement.places import project_mask
from training.refinement.reading_order import reading_order
from training.refinement.sequence import (
    Part,
    copied_sequence,
    kept_tokens,
    original_sequence,
    packed_sequence,
    page_tokens,
)
from training.refinement.settings import Positions, Refinement

__all__ = [
    "Crop",
    "Part",
    "Positions",
    "Refinement",
    "copied_sequence",
    "crop_pages",
    "encode_crops",
    "kept_tokens",
    "lead_with_global_views",
    "make_crops",
    "original_sequence",
    "packed_sequence",
    "page_rectangles",
    "page_tokens",
    "project_mask",
    "reading_order",
    "selected_windows",
]
