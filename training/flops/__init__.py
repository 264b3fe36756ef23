"""Operations of answering, counted from shapes: no weights, no torch.

shape = ModelShape.of(published_config("qwen2-vl-7b"))      # or of any model's configuration
whole = vanilla(shape, patches=[(160, 124)], tokens=5000)
less = refined(shape, patches=[(160, 124)], tokens=3040, aligner=scoring, crops=[(124, 96)])
less.total / whole.total
"""

from training.flops.answers import refined, vanilla
from training.flops.count import FlopCount
from training.flops.parts import AlignerShape, Patches, aligner_flops, decode_flops, prefill_flops, vision_flops
from training.flops.shape import DecoderShape, ModelShape, VisionShape

__all__ = [
    "AlignerShape",
    "DecoderShape",
    "FlopCount",
    "ModelShape",
    "Patches",
    "VisionShape",
    "aligner_flops",
    "decode_flops",
    "prefill_flops",
    "refined",
    "vanilla",
    "vision_flops",
]
