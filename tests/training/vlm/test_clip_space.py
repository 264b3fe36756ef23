"""CLIP's joint space against transformers' own CLIP, and beside a tiny LLaVA-NeXT."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode

from pinpoint_data.errors import TrainingError
from tests.training.selectors.samples import model_sample
from tests.training.vlm.pictures import noise
from tests.training.vlm.tiny_clip import JOINT, WIDTH, tiny_clip_folder
from training.selectors import checked_select, make_selector
from training.vlm.clip_space import ClipSpace

QUESTION = "What is the total?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip_folder(tmp_path_factory.mktemp("clip") / "clip")


@pytest.fixture(scope="module")
def oracle(folder: Path) -> Any:
    """Transformers' CLIP, its processor's share done by hand."""
    return transformers.CLIPModel.from_pretrained(folder).eval()


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "clip")


def said_by(oracle: Any, folder: Path, text: str) -> torch.Tensor:
    ids = transformers.AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt", truncation=True)["input_ids"]
    with torch.inference_mode():
        return oracle.get_text_features(input_ids=ids).pooler_output


def test_text_is_what_clip_makes_of_it(folder: Path, oracle: Any) -> None:
    found = ClipSpace(folder, device="cpu").text(QUESTION)
    assert found.shape == (1, JOINT) and found.dtype == torch.float32
    torch.testing.assert_close(found, said_by(oracle, folder, QUESTION))
    assert not torch.allclose(found.norm(), torch.ones(())), "it is not normalised"


def test_long_text_is_cut_where_clip_stops_reading(folder: Path, oracle: Any) -> None:
    # One token a letter: 75 of them fit, with the tokens around.
    first, second, third = "a" * 75, "b" * 75, "cd"
    found = ClipSpace(folder, device="cpu").text(first + second + third)
    # A `</w>` ends a word, which only the last chunk does.
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(first + second + third, add_special_tokens=False, verbose=False)["input_ids"]
    assert len(ids) == 152 and found.shape == (3, JOINT)
    for chunk, part in zip(found, (ids[:75], ids[75:150], ids[150:]), strict=True):
        whole = torch.tensor([[tokenizer.bos_token_id, *part, tokenizer.eos_token_id]])
        with torch.inference_mode():
            torch.testing.assert_close(chunk, oracle.get_text_features(input_ids=whole).pooler_output[0])
    torch.testing.assert_close(found[:1], said_by(oracle, folder, first + second + third))
    assert len(ClipSpace(folder, device="cpu").text(first)) == 1
    torch.testing.assert_close(ClipSpace(folder, device="cpu").text(""), said_by(oracle, folder, ""))


def test_text_of_a_config_with_the_old_end_token(copy: Path, oracle: Any) -> None:
    # The published configs say 2, which is no end of anything.
    config = json.loads((copy / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 2
    (copy / "config.json").write_text(json.dumps(config))
    torch.testing.assert_close(ClipSpace(copy, device="cpu").text(QUESTION), said_by(oracle, copy, QUESTION))


def test_class_token_of_clip_itself_lands_where_clip_puts_it(folder: Path, oracle: Any) -> None:
    pixels = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = oracle.get_image_features(pixel_values=pixels)
    found = ClipSpace(folder, device="cpu").patches(whole.last_hidden_state[:, 0])
    torch.testing.assert_close(found, whole.pooler_output)


def test_tower_is_not_read(copy: Path) -> None:
    plain = ClipSpace(copy, device="cpu").patches(torch.ones(1, WIDTH))
    weights = load_file(copy / "model.safetensors")
    blocks = [name for name in weights if "vision_model.encoder" in name]
    assert blocks
    save_file({k: v for k, v in weights.items() if k not in blocks}, copy / "model.safetensors", {"format": "pt"})
    assert torch.equal(ClipSpace(copy, device="cpu").patches(torch.ones(1, WIDTH)), plain)


def test_weights_that_lack_something_or_may_run_code_are_refused(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(TrainingError, match=r"lacks 1 tensors of a CLIPModel, visual_projection\.weight among them"):
        ClipSpace(copy, device="cpu").text(QUESTION)
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(TrainingError, match="pickles only, which may run code"):
        ClipSpace(copy, device="cpu").text(QUESTION)


def test_models_that_are_no_clip(copy: Path, model_folder: Callable[[str], Path]) -> None:
    with pytest.raises(TrainingError, match="is a llava_next, not a CLIP model with both towers"):
        ClipSpace(model_folder("llava-next"))
    config = json.loads((copy / "config.json").read_text())["vision_config"]
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "clip_vision_model"}))
    with pytest.raises(TrainingError, match="is a clip_vision_model, not a CLIP"):
        ClipSpace(copy)


def test_tokenizer_that_is_missing(copy: Path) -> None:
    (copy / "tokenizer.json").write_text("{")
    with pytest.raises(TrainingError, match="has no usable tokenizer"):
        ClipSpace(copy, device="cpu").text(QUESTION)


def test_patches_of_another_tower(folder: Path) -> None:
    space = ClipSpace(folder, device="cpu")
    with pytest.raises(TrainingError, match=f"its tower is {WIDTH} wide, and the patches 48"):
        space.signals(SimpleNamespace(patches=torch.ones(3, 48)), QUESTION)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="takes the patches of a CLIP tower"):
        space.signals(SimpleNamespace(patches=None), QUESTION)  # type: ignore[arg-type]


def test_operations_are_those_that_torch_counts(folder: Path) -> None:
    space, question = ClipSpace(folder, device="cpu"), "a" * 80
    space._model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        signals = space.signals(SimpleNamespace(patches=torch.ones(50, WIDTH)), question)  # type: ignore[arg-type]
    assert signals.flops == counter.get_total_flops()


def test_beside_llava_next(folder: Path, oracle: Any, tiny_model: Callable[..., Any]) -> None:
    model = tiny_model("llava-next")
    pages = [noise(500, 300), noise(300, 420, seed=1)]
    sample = model_sample(model, pages, QUESTION, needs=["vision", "clip"], clip=ClipSpace(folder, device="cpu"))
    signals = sample.clip()
    assert len(signals.patches) == sample.n_tokens
    _, _, charged = sample.ledger.charged(sample.clip)
    assert charged["clip"].flops == signals.flops and charged.keys() == {"clip", "encode", "vision"}
    torch.testing.assert_close(signals.text, said_by(oracle, folder, QUESTION))
    # The first page over again: the tower's last layer but one without its class token, then CLIP's own modules.
    layout = model.layout(500, 300)
    pixels = model.prepare(pages[0], layout)
    with torch.inference_mode():
        tiles = model.inner.vision_tower(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]
        joint = oracle.visual_projection(oracle.vision_model.post_layernorm(tiles))
    packed = model.pack(joint, layout, torch.zeros(JOINT))[layout.on_grid]
    torch.testing.assert_close(signals.patches[sample.slices[0]], packed, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [("trim", {}), ("cdpruner", {"relevance": "clip"}), ("cdpruner", {}), ("fsr", {}), ("fsr", {"relevance": "text"})],
)
def test_selectors_on_a_model(name: str, options: dict[str, Any], folder: Path, tiny_model: Callable[..., Any]) -> None:
    space = ClipSpace(folder, device="cpu")
    selector = make_selector(name, options)
    masks = []
    for question in (QUESTION, "Who signed it, and where?"):
        sample = model_sample(tiny_model("llava-next"), [noise(400, 300)], question, needs=selector.needs, clip=space)
        assert selector.needs <= sample.source.offers
        kept = checked_select(selector, sample, [10, 100])
        assert [int(k.mask.sum()) for k in kept] == [10, 100]
        masks.append(kept[0].mask)
    assert (masks[0] != masks[1]).any(), "the question matters"


def test_fsr_on_qwen_is_blind_to_the_question(tiny_model: Callable[..., Any]) -> None:
    selector = make_selector("fsr", {"relevance": "none"})
    page = noise(400, 300)
    first, second = (
        checked_select(selector, model_sample(tiny_model("qwen2-vl"), [page], q, needs=selector.needs), [5, 20])
        for q in (QUESTION, "Who?")
    )
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(first, second, strict=True))
    assert [int(k.mask.sum()) for k in first] == [5, 20]
