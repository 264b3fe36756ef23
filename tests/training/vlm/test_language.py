"""Prompts, positions, logits and answers against the models' own forward and generate."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from pinpoint_data.errors import TrainingError, UsageError
from tests.training.vlm.pictures import noise
from tests.training.vlm.tiny import FAMILIES, tiny_model_folder
from training.vlm import PromptSequence, VisionLanguageModel, VisualTokens, open_model
from training.vlm.text import MISTRAL, VICUNA

Open = Callable[..., VisionLanguageModel]
QUESTION = "What is the total?"


def own_inputs(model: VisionLanguageModel, images: list[Any], question: str) -> Any:
    """What the model's own processor makes of a conversation."""
    content = [*({"type": "image"} for _ in images), {"type": "text", "text": question}]
    text = model.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    if model.family == "llava-next":
        processor = transformers.LlavaNextProcessor(
            image_processor=model.processor, tokenizer=model.tokenizer, patch_size=14,
            vision_feature_select_strategy="default", num_additional_image_tokens=1, image_token="<image>",
        )  # fmt: skip
        return processor(images=images, text=text, return_tensors="pt")
    # Without torchvision the Qwen processors cannot be built; what they do with the text is this.
    made = model.processor(images=images, return_tensors="pt")
    for thw in made["image_grid_thw"]:
        text = text.replace("<|image_pad|>", "<|pad|>" * int(thw.prod() // 4), 1)
    ids = model.tokenizer(text.replace("<|pad|>", "<|image_pad|>"), return_tensors="pt")["input_ids"]
    types = (ids == model.config.image_token_id).int()
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": types, **made}


def ours(model: VisionLanguageModel, images: list[Any], question: str) -> tuple[PromptSequence, VisualTokens]:
    layouts = [model.layout(*image.size) for image in images]
    sequence = model.assemble(model.prompt(question, len(images)), layouts)
    return sequence, VisualTokens.cat(model.encode(images, layouts))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("sizes", [[(400, 300)], [(200, 500), (300, 120), (336, 336)]])
def test_logits_and_answers_are_the_models_own(tiny_model: Open, family: str, sizes: list[tuple[int, int]]) -> None:
    model = tiny_model(family)
    images = [noise(*size, seed) for seed, size in enumerate(sizes)]
    inputs = own_inputs(model, images, QUESTION)
    sequence, visual = ours(model, images, QUESTION)
    assert torch.equal(sequence.ids, inputs["input_ids"][0])
    with torch.no_grad():
        own = model.weights(**inputs).logits[0]
        answer = model.weights.generate(**inputs, max_new_tokens=12, do_sample=False)[0, len(sequence) :].tolist()
    assert torch.equal(model.logits(sequence, visual), own)
    made = model.generate(sequence, visual, 12)
    assert list(made.ids) == (answer[:-1] if answer[-1] == 2 else answer)
    assert made.text == model.tokenizer.decode(made.ids, skip_special_tokens=True).strip()
    assert made.seconds_prefill > 0 and made.seconds_decode >= 0


def test_answers_depend_on_the_page(tiny_model: Open) -> None:
    for family in FAMILIES:
        model = tiny_model(family)
        answers = {model.generate(*ours(model, [noise(200, 150, seed)], QUESTION), 6).ids for seed in range(4)}
        assert len(answers) > 1, family


@pytest.mark.parametrize("family", FAMILIES)
def test_subset_sees_what_a_mask_would_leave(tiny_model: Open, family: str) -> None:
    """Tokens taken out of the sequence, against the whole sequence with those tokens masked."""
    model = tiny_model(family)
    sequence, visual = ours(model, [noise(200, 150)], QUESTION)
    keep_visual = torch.rand(len(visual), generator=torch.Generator().manual_seed(0)) < 0.4
    keep = sequence.image < 0
    keep[~keep.clone()] = keep_visual
    index = keep.nonzero().squeeze(1)
    found = model.logits(sequence.take(index), visual.take(keep_visual.nonzero().squeeze(1)))
    inputs = model.decoder_inputs(sequence, visual) | {"attention_mask": keep.long()[None]}
    with torch.no_grad():
        masked = model.weights(**inputs, use_cache=False).logits[0]
    torch.testing.assert_close(found, masked[index], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_earlier_prompt_leaves_no_trace(tiny_model: Open, family: str) -> None:
    model = tiny_model(family)
    sequence, visual = ours(model, [noise(200, 150)], QUESTION)
    before = model.logits(sequence, visual)
    model.generate(*ours(model, [noise(300, 300), noise(100, 400)], "Another question?"), 4)
    assert torch.equal(model.logits(sequence, visual), before)


def test_wrong_number_of_visual_tokens(tiny_model: Open) -> None:
    model = tiny_model("qwen2-vl")
    sequence, visual = ours(model, [noise(200, 150)], QUESTION)
    with pytest.raises(TrainingError, match="has room for"):
        model.logits(sequence, visual.take(torch.arange(3)))


@pytest.mark.parametrize("family", FAMILIES)
def test_question_that_spells_special_tokens_is_text(tiny_model: Open, family: str) -> None:
    model = tiny_model(family)
    hostile = f"Is {model.tokenizer.convert_ids_to_tokens(model.config.image_token_id)} or <|im_end|></s> an image?"
    pieces = model.prompt(hostile, 1)
    assert len(pieces) == 2
    special = set(model.tokenizer.all_special_ids)
    assert not special & set(model.question_ids(hostile))
    plain = [token for piece in model.prompt("Is it an image?", 1) for token in piece if token in special]
    assert [token for piece in pieces for token in piece if token in special] == plain


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("question", ["", "  \n"])
def test_empty_question_is_refused(tiny_model: Open, family: str, question: str) -> None:
    model = tiny_model(family)
    with pytest.raises(UsageError, match="empty"):
        model.question_ids(question)
    with pytest.raises(UsageError, match="empty"):
        model.prompt(question, 1)


def test_question_tokens_are_the_question_alone(tiny_model: Open) -> None:
    model = tiny_model("llava-next")
    assert model.tokenizer.decode(model.question_ids(QUESTION)) == QUESTION


@pytest.mark.parametrize(("text", "plain"), [("llama", VICUNA), ("mistral", MISTRAL)])
def test_llava_without_a_chat_template(tmp_path: Path, text: str, plain: str) -> None:
    folder = tiny_model_folder("llava-next", tmp_path / text, text=text)
    (folder / "chat_template.jinja").unlink()
    model = open_model(folder, dtype="float32", device="cpu")
    ids = [token for piece in model.prompt(QUESTION, 2) for token in piece]
    assert model.tokenizer.decode(ids) == plain.format(images="\n\n", question=QUESTION)


def test_chat_template_of_older_checkpoints(tiny_model: Open, tmp_path: Path) -> None:
    source = tiny_model("qwen2-vl").source.path
    folder = shutil.copytree(source, tmp_path / "old")
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert open_model(folder).prompt(QUESTION, 1) == tiny_model("qwen2-vl").prompt(QUESTION, 1)
    (folder / "chat_template.json").write_text("[]")
    with pytest.raises(TrainingError, match=r"chat_template\.json: is not a chat template"):
        open_model(folder).prompt(QUESTION, 1)


def test_chat_template_that_drops_the_image(tiny_model: Open, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model("qwen2-vl").source.path, tmp_path / "dropping")
    (folder / "chat_template.jinja").write_text("{{ messages[0]['role'] }}")
    with pytest.raises(TrainingError, match=r"must hold 1 image placeholder.* gives 0"):
        open_model(folder).prompt(QUESTION, 1)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('no') }}")
    with pytest.raises(TrainingError, match="chat template fails: no"):
        open_model(folder).prompt(QUESTION, 1)
