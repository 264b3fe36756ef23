"""Backbones: what turns pages and questions into tokens."""

from training.backbones.base import (
    Backbone,
    BatchedBackbone,
    EncodedPage,
    Tokens,
    backbone_names,
    encode_pages,
    make_backbone,
    register_backbone,
    spec_differences,
)
from training.backbones.ocr_grid import OcrGrid
from training.pages.input import PageInput

# They import transformers, which takes seconds.
register_backbone("llava-next", "training.backbones.vlm:llava_next")
register_backbone("qwen2-vl", "training.backbones.vlm:qwen2_vl")

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
    "spec_differences",
]
