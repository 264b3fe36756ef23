"""Token selectors: every published way to keep some of a page's visual tokens, behind one protocol."""

from training.selectors.base import (
    NEEDS,
    DecoderLayers,
    Kept,
    Need,
    Selector,
    checked_select,
    make_selector,
    register_selector,
    selector_about,
    selector_names,
)
from training.selectors.sample import EncodedSample
from training.selectors.source import ModelSource, SignalSource

# Imported when first used: most need nothing but NumPy, some transformers, which takes seconds.
_BUILT_IN = {
    "random": "controls:RandomSelector",
    "uniform": "controls:UniformSelector",
    "downsample": "controls:DownsampleSelector",
    "text-density": "lexical:TextDensitySelector",
    "bm25": "lexical:BM25Selector",
    "oracle-window": "oracle:WindowOracle",
    "oracle-token": "oracle:TokenOracle",
    "crop-oracle": "crop:CropOracle",
    "crop": "crop:CropSelector",
    "pinpoint": "pinpoint:PinpointSelector",
    "refit": "refit:RefitSelector",
    "divprune": "divprune:DivPruneSelector",
    "zspaprune": "zspaprune:ZspaPruneSelector",
    "fsr": "fsr:FsrSelector",
    "fsr-none": "fsr:fsr_none",
    "fsr-text": "fsr:fsr_text",
    "cdpruner": "cdpruner:CdPrunerSelector",
    "cdpruner-clip": "cdpruner:cdpruner_clip",
    "trim": "trim:TrimSelector",
    "visionzip": "visionzip:VisionZipSelector",
    "holov": "holov:HoloVSelector",
    "vscan": "vscan:VScanSelector",
    "fopru": "fopru:FoPruSelector",
    "fopru-row": "fopru:FoPruRowSelector",
    "vflowopt": "vflowopt:VFlowOptSelector",
    "prumerge": "prumerge:PruMergeSelector",
    "prumerge-plus": "prumerge:PruMergePlusSelector",
    "visiondrop": "visiondrop:VisionDropSelector",
    "ptp": "ptp:PtpSelector",
    "fastv": "fastv:FastVSelector",
    "pyramiddrop": "pyramiddrop:PyramidDropSelector",
    "pyramiddrop-unpruned": "pyramiddrop:PyramidDropUnprunedSelector",
    "sparsevlm": "sparsevlm:SparseVlmSelector",
    "sparsevlm-unpruned": "sparsevlm:SparseVlmUnprunedSelector",
    "vicrop": "vicrop:ViCropSelector",
    "vicrop-region": "vicrop:ViCropRegionSelector",
    "ivc-prune": "ivc_prune:IvcPruneSelector",
    "docprune-background": "docprune:BackgroundSelector",
    "docprune": "docprune:DocPruneSelector",
    "btp": "btp:BtpSelector",
    "vtw": "vtw:VtwSelector",
}
for _name, _place in _BUILT_IN.items():
    register_selector(_name, f"training.selectors.{_place}")

__all__ = [
    "NEEDS",
    "DecoderLayers",
    "EncodedSample",
    "Kept",
    "ModelSource",
    "Need",
    "Selector",
    "SignalSource",
    "checked_select",
    "make_selector",
    "register_selector",
    "selector_about",
    "selector_names",
]
