"""Settings: the paper's defaults, files, `--set`, and errors that name the setting and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinpoint_data.errors import UsageError
from training.backbones import make_backbone
from training.config import TrainConfig, load_config, parse_config, recipe_names, recipe_path


def test_the_defaults_are_the_papers() -> None:
    config = TrainConfig()
    assert (config.windows.width, config.windows.height, config.windows.stride) == (10, 10, 7)
    assert (config.aligner.queries, config.loss.intra_weight) == (100, 0.5)
    assert (config.fit.epochs, config.fit.batch, config.fit.learning_rate) == (5, 32, 2e-5)
    assert config.loss.temperature == 0.07


@pytest.mark.parametrize(("name", "model"), [("llava-next", "llava-v1.6-vicuna-7b-hf"), ("qwen2-vl", "Qwen2-VL-7B")])
def test_a_vision_language_models_recipe_has_the_papers_settings(name: str, model: str) -> None:
    config, plain = load_config(name), TrainConfig()
    assert config.backbone.name == name and model in config.backbone.options["model"]
    assert config.windows == plain.windows and config.loss == plain.loss and config.labels == plain.labels
    assert config.fit == plain.fit.model_copy(update={"precision": "bf16"})
    changed = {"dim": 512, "normalise": "rms", "query_scale": 1.0}
    assert config.aligner == plain.aligner.model_copy(update=changed)


def test_every_recipe_is_valid() -> None:
    assert recipe_names() == ["llava-next", "ocr-grid", "qwen2-vl"]
    for name in recipe_names():
        assert load_config(name) == load_config(recipe_path(name))
    default = load_config()
    make_backbone(default.backbone.name, default.backbone.options)


def test_a_file_of_a_recipes_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("qwen2-vl").write_text("[fit]\nepochs = 2\n")
    assert load_config("qwen2-vl").fit.epochs == 2


def test_names_without_their_section_are_unique() -> None:
    names = [name.split(".", 1)[1] for name in TrainConfig.names() if not name.startswith("backbone.")]
    assert len(names) == len(set(names))


def test_set_takes_short_and_full_names_and_typed_values(tmp_path: Path) -> None:
    config = load_config(
        None,
        [
            "epochs=7",
            "fit.learning_rate = 3e-4",
            "similarity=flattened",
            'data.splits=["train", "test"]',
            "shared_start=false",
            "backbone.options.pixels=false",
            "hidden=64",
            "fit.seed=1",
            "seed=2",
        ],
    )
    assert config.fit.epochs == 7 and config.fit.learning_rate == 3e-4 and config.fit.seed == 2
    assert config.aligner.similarity == "flattened" and config.aligner.shared_start is False
    assert config.data.splits == ["train", "test"] and config.aligner.hidden == 64
    assert config.backbone.options == {"pixels": False}


def test_a_file_is_taken_and_set_wins(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[fit]\nepochs = 2\nbatch = 4\n[windows]\nstride = 5\n")
    config = load_config(file, ["fit.batch=8"])
    assert (config.fit.epochs, config.fit.batch, config.windows.stride) == (2, 8, 5)
    assert config.fit.learning_rate == 2e-5  # a file starts from the defaults, not from the default recipe


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epoch=3", r"unknown setting 'epoch'; did you mean fit\.epochs\? .*fit\.batch"),
        ("fit.lr=3", r"unknown setting 'fit\.lr'"),
        ("colour=red", r"unknown setting 'colour'.*windows\.width"),
        ("epochs", r"--set needs key=value, got 'epochs'"),
        ("epochs=0", r"fit\.epochs: .*greater than or equal to 1, got 0"),
        ("epochs=many", r"fit\.epochs: .*valid integer.*'many'"),
        ("learning_rate=inf", r"fit\.learning_rate: .*finite"),
        ("batch=2.5", r"fit\.batch: .*integer.*2\.5"),
        ("similarity=dot", r"aligner\.similarity: .*'mean-cosine' or 'flattened'"),
        ("windows.stride=11", r"windows: .*stride 11 leaves gaps"),
        ("labels.negative=0.6", r"labels: .*negative 0\.6 must be below"),
        ("hidden=7", r"aligner\.hidden: .*multiple of 2"),
        ("epochs=1\nbatch = 2", r"fit\.epochs: .*integer"),
        ("data.splits=train", r"data\.splits: .*list"),
        ("device=gpu", r"fit\.device: .*'gpu'"),
        ("device=cuda:x", r"fit\.device: .*'cuda:x'"),
        ("precision=fp16", r"fit\.precision: .*'fp32' or 'bf16'"),
        ("accumulate=0", r"fit\.accumulate: .*greater than or equal to 1, got 0"),
        ("normalise=l2", r"aligner\.normalise: .*'none' or 'rms'"),
    ],
)
def test_a_bad_setting_is_refused_by_name(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_config(None, [setting])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[fit]\nepoch = 3\n", r"unknown setting 'fit\.epoch'; did you mean fit\.epochs\?"),
        ("[fitt]\nepochs = 3\n", "unknown setting 'fitt'"),
        ("epochs = 3\n", "'epochs' stands outside a section"),
        ("[fit\n", "is not a TOML file"),
        ("[windows]\nwidth = true\n", r"windows\.width: .*integer.*True"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        load_config(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: no such configuration file .*llava-next, ocr-grid, qwen2-vl"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="no recipe 'none'; expected one of llava-next, ocr-grid, qwen2-vl"):
        recipe_path("none")


def test_a_run_must_minimise_something() -> None:
    assert load_config(None, ["inter_weight=0"]).loss.inter_weight == 0
    with pytest.raises(UsageError, match="both 0"):
        load_config(None, ["inter_weight=0", "intra_weight=0"])


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_devices_are_named_as_torch_names_them(name: str) -> None:
    assert load_config(None, [f"device={name}"]).fit.device == name


def test_a_models_folder_is_recorded_as_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for model, expected in (("models/mine", str(tmp_path / "models" / "mine")), ("Qwen/Qwen2-VL", "Qwen/Qwen2-VL")):
        backbone = load_config("qwen2-vl", [f"backbone.options.model={model}"]).backbone
        assert backbone.settled().options == backbone.options | {"model": expected}
    assert load_config().backbone.settled() == load_config().backbone


def test_settings_survive_json() -> None:
    config = load_config(None, ["hidden=64", 'data.splits=["train"]'])
    assert parse_config(config.model_dump(mode="json")) == config


def test_options_that_a_backbone_does_not_take_are_refused() -> None:
    with pytest.raises(UsageError, match=r"does not take these options.*colour"):
        make_backbone("ocr-grid", {"colour": 1})
    with pytest.raises(UsageError, match="no backbone 'clip'; expected one of ocr-grid"):
        make_backbone("clip")
    with pytest.raises(UsageError, match="is no backbone"):
        make_backbone("collections:Counter")
