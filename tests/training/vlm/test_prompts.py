"""Prompts of tokenizers and chat templates as published checkpoints carry them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from pinpoint_data.errors import TrainingError, UsageError
from tests.training.vlm.pictures import noise
from training.vlm import open_model

QUESTION = "What is the total?"
LIST = (
    "{% for m in messages %}[INST] {% for c in m['content'] | selectattr('type', 'equalto', 'image') %}<image>\n"
    "{% endfor %}{% for c in m['content'] | selectattr('type', 'equalto', 'text') %}{{ c['text'] }}{% endfor %} [/INST]"
    "{% endfor %}"
)
"""Of LLaVA-NeXT's processors: content in parts."""
MISTRAL = "{{ bos_token }}{% for m in messages %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% endfor %}"
LLAMA_3 = "{% for m in messages %}{{ (bos_token if loop.first else '') + '[INST] ' + m['content'] | trim }}{% endfor %}"
"""Of language models: the first fails on parts, the second writes a Python list into the prompt."""


def llama_tokenizer(*, legacy: bool) -> Tokenizer:
    """As Llama's: words begin with a lower block, which `legacy` tokenizers set before every stretch of text."""
    trained = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    trained.train_from_iterator([f"{QUESTION} [INST] [/INST]"] * 3, trainer)
    made = json.loads(trained.to_str())["model"]
    merges = [tuple(pair) for pair in made["merges"]]
    found = Tokenizer(models.BPE(made["vocab"], merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if legacy:
        found.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        found.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    found.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    found.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    names = ("<unk>", "<s>", "</s>", "<image>", "<pad>")
    found.add_special_tokens([AddedToken(name, normalized=False) for name in names])
    return found


@pytest.fixture
def llama(model_folder: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """The tiny LLaVA-NeXT with a tokenizer such as Llama's."""

    def made(*, legacy: bool = False, **settings: Any) -> Path:
        folder = shutil.copytree(model_folder("llava-next"), tmp_path / f"model-{legacy}", dirs_exist_ok=True)
        (folder / "chat_template.jinja").unlink()
        tokenizer = llama_tokenizer(legacy=legacy)
        tokenizer.save(str(folder / "tokenizer.json"))
        config = json.loads((folder / "config.json").read_text())
        config["image_token_index"] = tokenizer.token_to_id("<image>")
        (folder / "config.json").write_text(json.dumps(config))
        own = {"tokenizer_class": "LlamaTokenizer", "legacy": legacy, "add_bos_token": True, "add_eos_token": False}
        own |= {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(own | settings))
        return folder

    return made


def text_of(folder: Path, images: int = 1) -> list[str]:
    """The pieces of a prompt, spelled out token by token."""
    model = open_model(folder)
    return ["".join(model.tokenizer.convert_ids_to_tokens(piece)) for piece in model.prompt(QUESTION, images)]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("images", [1, 2])
def test_llama_tokenizers_as_in_the_processor(llama: Callable[..., Path], legacy: bool, images: int) -> None:
    folder = llama(legacy=legacy)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": LIST}))
    model = open_model(folder)
    processor = transformers.LlavaNextProcessor(
        image_processor=model.processor, tokenizer=model.tokenizer, patch_size=14, chat_template=LIST,
        vision_feature_select_strategy="default", num_additional_image_tokens=1, image_token="<image>",
    )  # fmt: skip
    content = [{"type": "image"}] * images + [{"type": "text", "text": QUESTION}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    own = processor(images=[noise(100, 80)] * images, text=text, return_tensors="pt")["input_ids"][0]
    layouts = [model.layout(100, 80)] * images
    assert model.assemble(model.prompt(QUESTION, images), layouts).ids.tolist() == own.tolist()


def test_question_begins_as_a_text_does(llama: Callable[..., Path]) -> None:
    model = open_model(llama())
    tokens = model.tokenizer.convert_ids_to_tokens(model.question_ids(QUESTION))
    assert "".join(tokens) == "▁What▁is▁the▁total?"
    assert tokens[0].startswith("▁")


@pytest.mark.parametrize("file", ["chat_template.json", "processor_config.json"])
def test_processors_template_before_that_of_the_language_model(llama: Callable[..., Path], file: str) -> None:
    folder = llama(chat_template=MISTRAL.replace("INST", "TEXT"))
    (folder / file).write_text(json.dumps({"chat_template": LIST}))
    assert text_of(folder) == ["<s>▁[INST]▁", "<0x0A>What▁is▁the▁total?▁[/INST]"]


@pytest.mark.parametrize("template", [MISTRAL, LLAMA_3])
@pytest.mark.parametrize("images", [0, 1, 3])
def test_templates_that_take_text_alone(llama: Callable[..., Path], template: str, images: int) -> None:
    pieces = text_of(llama(chat_template=template), images)
    assert len(pieces) == images + 1
    whole = "<image>".join(pieces)
    assert whole.startswith("<s>▁[INST]▁" + "<image><0x0A>" * images + "What▁is▁the▁total?")
    assert whole.count("<s>") == 1 and "{" not in whole


def test_several_templates(llama: Callable[..., Path]) -> None:
    named = [{"name": "default", "template": LIST}, {"name": "tool_use", "template": "no"}]
    assert text_of(llama(chat_template=named)) == ["<s>▁[INST]▁", "<0x0A>What▁is▁the▁total?▁[/INST]"]
    with pytest.raises(TrainingError, match="none named 'default'"):
        text_of(llama(chat_template=named[1:]))


def test_qwen_without_a_chat_template(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder("qwen2-vl"), tmp_path / "model")
    (folder / "chat_template.jinja").unlink()
    model = open_model(folder)
    before, between, after = (model.tokenizer.decode(piece) for piece in model.prompt(QUESTION, 2))
    assert before.endswith("<|im_start|>user\n<|vision_start|>")
    assert between == "<|vision_end|><|vision_start|>"
    assert after == f"<|vision_end|>{QUESTION}<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize("question", ["Wert in 🧾 𝔘?", "a\x00b", "{images} {0} {{ 7 * 7 }} {% raw %}"])
def test_any_text_is_a_question(model_folder: Callable[[str], Path], question: str) -> None:
    model = open_model(model_folder("qwen2-vl"))
    assert model.tokenizer.decode(model.question_ids(question)) == question
    assert question in model.tokenizer.decode(model.prompt(question, 1)[1])


def test_half_a_character_is_no_question(model_folder: Callable[[str], Path]) -> None:
    model = open_model(model_folder("qwen2-vl"))
    for refused in (model.question_ids, lambda question: model.prompt(question, 1)):
        with pytest.raises(UsageError, match="no text: character 4 is half of a pair"):
            refused("why\ud800?")


def test_tokenizer_without_the_placeholder(llama: Callable[..., Path]) -> None:
    folder = llama()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"image_token_index": 31_999}))
    with pytest.raises(TrainingError, match="tokenizer without the image placeholder 31999"):
        text_of(folder)
