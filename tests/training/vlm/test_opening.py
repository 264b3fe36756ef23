"""Where models come from, what is refused, and the backbones made of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.words.base import PageWords
from tests.training.vlm.pictures import noise
from training.backbones import BatchedBackbone, encode_pages, make_backbone, register_backbone
from training.pages.input import PageInput
from training.vlm import find_model, open_model

Folder = Callable[[str], Path]


@pytest.fixture
def copy(model_folder: Folder, tmp_path: Path) -> Path:
    return shutil.copytree(model_folder("qwen2-vl"), tmp_path / "model")


def test_fingerprint_follows_content_not_place(model_folder: Folder, copy: Path) -> None:
    assert find_model(copy).fingerprint == find_model(model_folder("qwen2-vl")).fingerprint
    weights = copy / "model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    assert find_model(copy).fingerprint != find_model(model_folder("qwen2-vl")).fingerprint


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("/no/such/folder", "no such folder"),
        ("./nothing", "no such folder"),
        (Path("a/b"), "no such folder"),
        ("nobody/no-such-model", "cannot be had from the hub"),
    ],
)
def test_model_that_is_not_there(model: str | Path, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        open_model(model)


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"has no config\.json"):
        open_model(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(TrainingError, match=r"no usable config\.json"):
        open_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(TrainingError, match="is a bert model; supported are llava_next, qwen2_vl"):
        open_model(tmp_path)


def test_pickled_weights_are_never_loaded(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"has no \*\.safetensors weights"):
        _ = open_model(copy, dtype="float32").weights
    torch.save(tensors, copy / "pytorch_model.bin")
    with pytest.raises(TrainingError, match="pickles only"):
        _ = open_model(copy, dtype="float32").weights


def test_missing_and_damaged_weights(copy: Path) -> None:
    weights = copy / "model.safetensors"
    tensors = load_file(weights)
    name = next(name for name in tensors if "visual.blocks.0" in name)
    save_file({n: t for n, t in tensors.items() if n != name}, weights, metadata={"format": "pt"})
    with pytest.raises(TrainingError, match="lacks 1 tensors of a Qwen2VLModel"):
        _ = open_model(copy, dtype="float32").weights
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(TrainingError, match="cannot be loaded"):
        _ = open_model(copy, dtype="float32").weights


def test_options_a_model_does_not_take(copy: Path) -> None:
    with pytest.raises(TrainingError, match="does not take these options"):
        open_model(copy, view="mosaic")
    with pytest.raises(TrainingError, match="dtype must be one of bfloat16"):
        open_model(copy, dtype="int8")


def test_missing_processor(copy: Path) -> None:
    (copy / "preprocessor_config.json").unlink()
    with pytest.raises(TrainingError, match="no usable image processor"):
        open_model(copy)


@pytest.mark.parametrize(("family", "setting"), [("qwen2-vl", "patch_size"), ("llava-next", "image_size")])
def test_a_tile_that_no_model_has_is_refused_before_it_is_made(
    model_folder: Callable[[str], Path], tmp_path: Path, family: str, setting: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder(family), folder)
    described = json.loads((folder / "config.json").read_text())
    described["vision_config"][setting] = 30_000
    (folder / "config.json").write_text(json.dumps(described))
    with pytest.raises(TrainingError, match=r"image processor: tiles or cells of \d+,000 pixels a side"):
        make_backbone(family, {"model": str(folder), "dtype": "float32", "device": "cpu"})


@pytest.mark.parametrize(
    ("name", "family"), [("llava-next", "llava-next"), ("qwen2-vl", "qwen2-vl"), ("qwen2-vl", "qwen3-vl")]
)
def test_backbone(model_folder: Folder, name: str, family: str) -> None:
    backbone = make_backbone(name, {"model": str(model_folder(family)), "dtype": "float32", "device": "cpu"})
    assert isinstance(backbone, BatchedBackbone)
    images = [noise(300, 200, 1), noise(150, 420, 2)]
    pages = [PageInput(f"p{i}", *im.size, PageWords(), lambda im=im: im) for i, im in enumerate(images)]
    together = encode_pages(backbone, pages)
    for page, encoded in zip(pages, together, strict=True):
        assert encoded.grid == backbone.grid(page.width, page.height)
        torch.testing.assert_close(encoded.tensor(), backbone.encode_page(page).tensor(), atol=1e-5, rtol=1e-5)
        assert encoded.tensor().shape == (encoded.grid.n_tokens, backbone.token_dim)
    question = torch.as_tensor(backbone.encode_question("What?"))
    assert question.shape == (5, backbone.question_dim)
    assert json.loads(json.dumps(backbone.spec())) == backbone.spec()


def test_backbone_spec_tells_what_changes_tokens(model_folder: Folder, copy: Path) -> None:
    here = make_backbone("qwen2-vl", {"model": str(model_folder("qwen2-vl"))})
    spec = here.spec()
    assert make_backbone("qwen2-vl", {"model": str(copy)}).spec() == spec
    others = ({"dtype": "float32"}, {"max_pixels": 28 * 28 * 50})
    assert all(make_backbone("qwen2-vl", {"model": str(model_folder("qwen2-vl")), **o}).spec() != spec for o in others)


def test_backbone_of_another_family(model_folder: Folder) -> None:
    with pytest.raises(UsageError, match="is a qwen2-vl model, no backbone llava-next"):
        make_backbone("llava-next", {"model": str(model_folder("qwen2-vl"))})


def test_device_map_spreads_the_whole_model(model_folder: Folder) -> None:
    options = {"dtype": "float32", "device": "cpu", "language": True}
    mapped = open_model(model_folder("qwen2-vl"), device_map={"": "cpu"}, **options)
    plain, image = open_model(model_folder("qwen2-vl"), **options), noise(200, 150)
    layout = plain.layout(200, 150)
    sequence, [visual] = plain.assemble(plain.prompt("What?", 1), [layout]), plain.encode([image], [layout])
    assert mapped.generate(sequence, visual, 4).ids == plain.generate(sequence, visual, 4).ids


def test_a_backbone_may_be_registered_again_as_it_was() -> None:
    reference = ":".join(["training.backbones.vlm", "llava_next"])  # equal to the registered name, not the same object
    register_backbone("llava-next", reference)
    with pytest.raises(UsageError, match="named 'llava-next' is registered already"):
        register_backbone("llava-next", "somewhere:else")
