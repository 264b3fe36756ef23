"""Checkpoints as they are published: older layouts of settings and weights, shards, tied weights; and damaged ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from pinpoint_data.errors import TrainingError
from tests.training.vlm.pictures import noise
from training.flops.models import find_shape
from training.vlm import Generated, VisionLanguageModel, VisualTokens, open_model

Copy = Callable[[str], Path]
PLAIN = {"dtype": "float32", "device": "cpu"}


@pytest.fixture
def copy(model_folder: Callable[[str], Path], tmp_path: Path) -> Copy:
    """A folder of one's own with a tiny checkpoint."""
    return lambda family: shutil.copytree(model_folder(family), tmp_path / family)


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def answered(model: VisionLanguageModel, new_tokens: int = 6) -> tuple[VisualTokens, Generated]:
    image, layout = noise(200, 150), model.layout(200, 150)
    [visual] = model.encode([image], [layout])
    sequence = model.assemble(model.prompt("What is the total?", 1), [layout])
    return visual, model.generate(sequence, visual, new_tokens)


def assert_same(folder: Path, other: VisionLanguageModel) -> None:
    """Alone and with its language model a checkpoint gives what another model gives."""
    visual, answer = answered(other)
    tower = open_model(folder, **PLAIN)
    [alone] = tower.encode([noise(200, 150)], [tower.layout(200, 150)])
    whole, made = answered(open_model(folder, **PLAIN, language=True))
    assert torch.equal(alone.tokens, visual.tokens) and torch.equal(whole.tokens, visual.tokens)
    assert made.ids == answer.ids
    ids = other.question_ids("What is the total?")
    assert torch.equal(tower.embed(ids), other.embed(ids))


def test_flat_configuration_of_qwen2_vl(copy: Copy, tiny_model: Callable[..., Any]) -> None:
    folder = copy("qwen2-vl")
    config = json.loads((folder / "config.json").read_text())
    text = {name: value for name, value in config.pop("text_config").items() if name not in ("model_type", "dtype")}
    del text["rope_parameters"]
    config |= text | {"rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}, "rope_theta": 1e6}
    config["torch_dtype"] = config.pop("dtype")
    (folder / "config.json").write_text(json.dumps(config))
    assert_same(folder, tiny_model("qwen2-vl"))
    assert find_shape(str(folder)).shape.decoder.width == 64


def test_llava_with_the_older_names(copy: Copy, tiny_model: Callable[..., Any]) -> None:
    folder = copy("llava-next")
    tensors = load_file(folder / "model.safetensors")
    older = {name.replace("vision_tower.", "vision_tower.vision_model."): value for name, value in tensors.items()}
    assert older.keys() != tensors.keys()
    save_file(older, folder / "model.safetensors", metadata={"format": "pt"})
    change(folder / "config.json", use_image_newline_parameter=True, ignore_index=-100, torch_dtype="float16")
    settings = {"processor_class": "LlavaNextProcessor", "patch_size": 14, "num_additional_image_tokens": 1}
    (folder / "processor_config.json").write_text(json.dumps(settings))
    assert_same(folder, tiny_model("llava-next"))


@pytest.mark.parametrize("family", ["qwen2-vl", "qwen3-vl", "llava-next"])
def test_shards_with_tied_embeddings(copy: Copy, family: str) -> None:
    folder = copy(family)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    [head] = [name for name in tensors if "lm_head" in name]
    [embeddings] = [name for name in tensors if "embed_tokens" in name]
    change(folder / "config.json", tie_word_embeddings=True)
    whole = shutil.copytree(folder, folder.with_name("whole"))
    save_file(tensors | {head: tensors[embeddings].clone()}, whole / "model.safetensors", metadata={"format": "pt"})
    del tensors[head]
    _save_shards(tensors, folder)
    assert_same(folder, open_model(whole, **PLAIN, language=True))
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"cannot be loaded: .*model-00002-of-00003\.safetensors"):
        _ = open_model(folder, **PLAIN).weights


def _save_shards(tensors: Mapping[str, torch.Tensor], folder: Path) -> None:
    places = {name: f"model-0000{number % 3 + 1}-of-00003.safetensors" for number, name in enumerate(tensors)}
    for place in set(places.values()):
        part = {name: tensor for name, tensor in tensors.items() if places[name] == place}
        save_file(part, folder / place, metadata={"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def test_features_of_several_layers(copy: Copy) -> None:
    folder = copy("llava-next")
    change(folder / "config.json", vision_feature_layer=[-2, -3])
    config = transformers.AutoConfig.from_pretrained(folder)
    transformers.LlavaNextForConditionalGeneration(config).save_pretrained(folder)
    model, image = open_model(folder, **PLAIN), noise(200, 150)
    inputs = model.processor(images=image, return_tensors="pt")
    with torch.no_grad():
        [own] = model.inner.get_image_features(inputs["pixel_values"], inputs["image_sizes"]).pooler_output
    [visual] = model.encode([image], [model.layout(200, 150)])
    assert torch.equal(visual.tokens, own)


def test_answers_are_greedy_whatever_settings_a_checkpoint_has(
    copy: Copy, tiny_model: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    folder = copy("qwen2-vl")
    _, greedy = answered(tiny_model("qwen2-vl"), 10)
    ends = [2, greedy.ids[6]]
    sampling = {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.1, "num_beams": 3}
    settings = {"bos_token_id": 1, "eos_token_id": ends, "max_length": 8} | sampling
    (folder / "generation_config.json").write_text(json.dumps(settings))
    model = open_model(folder, **PLAIN, language=True)
    _ = model.weights
    capfd.readouterr()
    _, made = answered(model, 10)
    assert made.ids == greedy.ids[: greedy.ids.index(ends[1])]
    assert capfd.readouterr() == ("", "")


def test_tensor_of_another_shape_is_named(copy: Copy) -> None:
    folder = copy("qwen2-vl")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.embed_tokens.weight"] = torch.zeros(300, 64)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for language in (False, True):
        with pytest.raises(TrainingError, match=r"embed_tokens\.weight of shape \(300, 64\), config.json wants \(264"):
            _ = open_model(folder, **PLAIN, language=language).weights


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        ("[]", "no usable image processor"),
        ("{", "no usable image processor"),
        ('{"size": {"height": 3, "width": 4}}', "without limits in pixels"),
    ],
)
def test_damaged_image_processor(copy: Copy, processor: str, message: str) -> None:
    folder = copy("qwen2-vl")
    (folder / "preprocessor_config.json").write_text(processor)
    with pytest.raises(TrainingError, match=message):
        open_model(folder)
    with pytest.raises(TrainingError, match=message):
        find_shape(str(folder))


def test_limits_in_pixels(copy: Copy) -> None:
    folder = copy("qwen2-vl")
    named = {"image_processor_type": "Qwen2VLImageProcessor"}
    for settings, limits in (
        (named | {"min_pixels": 3136, "max_pixels": 12_845_056}, (3136, 12_845_056)),
        (named | {"max_pixels": 1_000_000}, (3136, 1_000_000)),
        (named, (3136, 1_003_520)),
    ):
        (folder / "preprocessor_config.json").write_text(json.dumps(settings))
        model: Any = open_model(folder)
        assert (model.min_pixels, model.max_pixels) == find_shape(str(folder)).pixels == limits
    assert open_model(folder, max_pixels=1000).layout(500, 300).n_tokens == 1
    with pytest.raises(TrainingError, match="max_pixels must be at least 1, got -5"):
        open_model(folder, max_pixels=-5)


def test_damaged_configuration(copy: Copy) -> None:
    folder = copy("qwen2-vl")
    change(folder / "config.json", text_config={"hidden_size": "wide"})
    for opened in (open_model, lambda path: find_shape(str(path))):
        with pytest.raises(TrainingError, match=r"no usable config\.json: .*hidden_size"):
            opened(folder)


def test_a_folder_is_no_setting(copy: Copy) -> None:
    folder = copy("qwen2-vl")
    before = open_model(folder).source.fingerprint
    (folder / "results.json").mkdir()
    assert open_model(folder).source.fingerprint == before


class TestDeviceMap:
    def test_the_device_is_where_the_map_says(self, model_folder: Callable[[str], Path]) -> None:
        options = {"dtype": "float32", "device": "cuda", "language": True, "device_map": {"": "cpu"}}
        model = open_model(model_folder("llava-next"), **options)
        assert answered(model)[1].ids
        assert model.device == torch.device("cpu")

    def test_a_decoder_may_be_offloaded(self, model_folder: Callable[[str], Path], tiny_model: Any) -> None:
        inner = dict.fromkeys(("visual", "language_model.embed_tokens", "language_model.norm"), "cpu")
        places = inner | {"language_model.rotary_emb": "cpu", "language_model.layers": "disk"}
        places = {f"model.{name}": place for name, place in places.items()} | {"lm_head": "disk"}
        model = open_model(model_folder("qwen2-vl"), **PLAIN, language=True, device_map=places)
        assert answered(model)[1].ids == answered(tiny_model("qwen2-vl"))[1].ids

    @pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
    def test_input_embeddings_may_not(self, model_folder: Callable[[str], Path], family: str) -> None:
        model = open_model(model_folder(family), **PLAIN, language=True, device_map={"model": "disk", "lm_head": "cpu"})
        with pytest.raises(TrainingError, match="input embeddings that the device map offloads"):
            _ = model.weights

    def test_only_of_a_whole_model(self, model_folder: Callable[[str], Path]) -> None:
        with pytest.raises(TrainingError, match="opened with its language model"):
            open_model(model_folder("qwen2-vl"), device_map="auto")
