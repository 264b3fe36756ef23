"""Backbones: what turns pages and questions into tokens."""

from training.backbones.base import (
    Backbone,
    BatchedBackbone,
    EncodedPage,
    PageInput,
    Tokens,
    backbone_names,
    encode_pages,
    make_backbone,
    register_backbone,
)
from training.backbones.ocr_grid import OcrGrid

__all__ = [
    "Backbone",
    "BatchedBackbone",
    "EncodedPage",
    "OcrGrid",
    "PageInput",
    "Tokens",
    "backbone_names",
    "encode_pages",
    "make_backbone",
    "register_backbone",
]
