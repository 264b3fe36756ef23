"""Settings of a training run: typed, from a TOML file and `--set key=value`, with the paper's values as defaults.

The defaults are those of the published summary of PinPoint (arXiv 2603.22815) where it fixes a value; recipes under
`training/recipes` change what another backbone needs. A setting is named by section and name (`fit.epochs`), or by its
name alone, which is unique.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pinpoint_data.errors import UsageError
from pinpoint_data.small_files import read_small_text
from pinpoint_data.windows import LabelRule, WindowSpec

DEFAULT_RECIPE = "ocr-grid"

Similarity = Literal["mean-cosine", "flattened"]
Normalise = Literal["none", "rms"]


Count = Annotated[int, Field(le=2**31 - 1)]
"""A number of something; beyond it nothing could be counted, let alone kept."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataConfig(_Section):
    """Which questions are learnt from."""

    splits: list[str] = Field(
        default=[], description="splits to learn from; empty: train where a source has it, else all but test"
    )
    validation_fraction: float = Field(
        default=0.1, ge=0, le=0.9, description="share of documents held out where no validation split is published"
    )


class BackboneConfig(_Section):
    """What makes the tokens."""

    name: str = "ocr-grid"
    options: dict[str, Any] = {}

    def settled(self) -> BackboneConfig:
        """The same with a model's folder as an absolute path: from another folder `models/x` would be a hub name."""
        model = self.options.get("model")
        if not isinstance(model, str) or not Path(model).expanduser().is_dir():
            return self
        return self.model_copy(update={"options": {**self.options, "model": str(Path(model).expanduser().absolute())}})


class WindowConfig(_Section):
    """Windows in tokens."""

    width: Count = Field(default=10, ge=1)
    height: Count = Field(default=10, ge=1)
    stride: Count = Field(default=7, ge=1)

    @model_validator(mode="after")
    def _no_gaps(self) -> WindowConfig:
        if self.stride > min(self.width, self.height):
            raise ValueError(f"stride {self.stride} leaves gaps between windows of {self.width} x {self.height}")
        return self

    def spec(self) -> WindowSpec:
        """The windows."""
        return WindowSpec(self.width, self.height, self.stride)


class LabelConfig(_Section):
    """When a window is positive or negative: its overlap with a gold box, over the smaller of both."""

    positive: float = Field(default=0.5, gt=0, le=1)
    negative: float = Field(default=0.05, ge=0, lt=1)

    @model_validator(mode="after")
    def _apart(self) -> LabelConfig:
        if self.negative >= self.positive:
            raise ValueError(f"negative {self.negative} must be below positive {self.positive}")
        return self

    def rule(self) -> LabelRule:
        """The rule."""
        return LabelRule(self.positive, self.negative)


class AlignerConfig(_Section):
    """The trained part."""

    queries: Count = Field(default=100, ge=1, description="K")
    dim: Count = Field(default=128, ge=1, description="d, width of the projections")
    hidden: Count | None = Field(
        default=None, ge=2, multiple_of=2, description="inner width of the MLPs; 2d when not given"
    )
    similarity: Similarity = "mean-cosine"
    query_scale: float = Field(default=4.0, gt=0, description="standard deviation of the initial queries")
    shared_start: bool = Field(default=True, description="equal initial weights on features both sides share")
    normalise: Normalise = Field(
        default="none", description="rms: each token to a root mean square of 1, for a pretrained model's tokens"
    )


class LossConfig(_Section):
    """L = inter_weight * L_inter + intra_weight * L_intra."""

    inter_weight: float = Field(default=1.0, ge=0, description="0 leaves L_inter out")
    intra_weight: float = Field(default=0.5, ge=0, description="0 leaves L_intra out")
    temperature: float = Field(default=0.07, ge=0.01, le=1, description="initial value; learnt, kept in [0.01, 1]")
    max_negatives: Count = Field(
        default=256, ge=1, description="negative windows of a question and step; drawn if more"
    )
    max_pages: Count = Field(
        default=4, ge=1, description="pages of a question and step: those with evidence, others drawn to fill up"
    )

    @model_validator(mode="after")
    def _something_to_minimise(self) -> LossConfig:
        if self.inter_weight == self.intra_weight == 0:
            raise ValueError("inter_weight and intra_weight are both 0: there is nothing to minimise")
        return self


class FitConfig(_Section):
    """The loop."""

    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    epochs: Count = Field(default=5, ge=1)
    batch: Count = Field(default=32, ge=1, description="questions a step, of all processes together")
    accumulate: Count = Field(
        default=1,
        ge=1,
        description="parts that a step's pages are computed in, one after another: same step, less memory",
    )
    trained: Literal["all", "queries", "mlps"] = Field(
        default="all", description="the parts of the aligner that learn; the others stay as they start"
    )
    device: str = Field(
        default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto: cuda where there is one, else cpu"
    )
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32", description="of the MLPs; softmax, cosines and losses are float32 either way"
    )
    learning_rate: float = Field(default=2e-5, gt=0)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = Field(default=0.0, ge=0, lt=1, description="share of the steps with a rising learning rate")
    weight_decay: float = Field(default=0.0, ge=0)
    clip_norm: float = Field(default=1.0, gt=0, description="largest norm of the gradient")
    page_group: Count = Field(default=1, ge=1, description="questions of one page kept together in a batch, at most")
    best_by: Literal["recall", "top1", "auc"] = Field(
        default="recall", description="validation score whose best epoch is kept; recall is at a budget of 0.25"
    )
    threads: Count = Field(default=0, ge=0, description="CPU threads; 0: as many as this process may use")
    cache_mb: Count = Field(default=1024, ge=0, description="memory for encoded pages")
    save_minutes: float = Field(default=5.0, gt=0, description="the state for --resume is saved at least this often")


class TrainConfig(_Section):
    """Everything that decides what a run learns, given its data."""

    data: DataConfig = DataConfig()
    backbone: BackboneConfig = BackboneConfig()
    windows: WindowConfig = WindowConfig()
    labels: LabelConfig = LabelConfig()
    aligner: AlignerConfig = AlignerConfig()
    loss: LossConfig = LossConfig()
    fit: FitConfig = FitConfig()

    @classmethod
    def names(cls) -> list[str]:
        """All settings as `section.name`."""
        return [f"{section}.{name}" for section, model in _sections() for name in model.model_fields]


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    for section, field in TrainConfig.model_fields.items():
        model = field.annotation
        assert isinstance(model, type) and issubclass(model, BaseModel)
        yield section, model


def recipe_names() -> list[str]:
    """The recipes that are installed with the package."""
    return sorted(path.stem for path in _recipes().glob("*.toml"))


def recipe_path(name: str) -> Path:
    """The file of a recipe that is installed with the package.

    Raises:
        UsageError: There is none of this name.
    """
    if name not in recipe_names():
        raise UsageError(f"no recipe {name!r}; expected one of {', '.join(recipe_names())}")
    return _recipes() / f"{name}.toml"


def _recipes() -> Path:
    return Path(str(files("training") / "recipes"))


def load_config(source: Path | str | None = None, settings: Sequence[str] = ()) -> TrainConfig:
    """Settings from a TOML file or a recipe, then from `key=value` texts.

    Args:
        source: A file, else the name of a recipe; the recipe `ocr-grid` by default.
        settings: As `section.name=value` or `name=value`.

    Raises:
        UsageError: The file is missing or no TOML, a setting is unknown, or a value does not fit; the message names
            the setting and what is allowed.
    """
    file = None if source is None else Path(source)
    path = file or recipe_path(DEFAULT_RECIPE)
    if str(source) in recipe_names() and not path.is_file():
        path = recipe_path(str(source))
    try:
        values = tomllib.loads(read_small_text(path))
    except FileNotFoundError as error:
        recipes = ", ".join(recipe_names())
        raise UsageError("no such configuration file", file=path, remedy=f"recipes by name: {recipes}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"is not a TOML file: {error}", file=path) from error
    for section, content in values.items():
        if not isinstance(content, dict):
            raise UsageError(
                f"{section!r} stands outside a section; settings are {', '.join(TrainConfig.names())}", file=path
            )
    for setting in settings:
        _set(values, setting)
    return parse_config(values, file=file)


def parse_config(values: Mapping[str, Any], file: Path | None = None) -> TrainConfig:
    """A configuration from nested values.

    Raises:
        UsageError: A setting is unknown or a value does not fit.
    """
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise _unknown(name, file) from error
        raise UsageError(f"{name}: {first['msg'].lower()}, got {first['input']!r}", file=file) from error


def _set(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    key = key.strip()
    if not equals:
        raise UsageError(f"--set needs key=value, got {setting!r}")
    known = TrainConfig.names()
    matches = [name for name in known if key in (name, name.split(".", 1)[1])]
    if key.startswith("backbone.options."):
        values.setdefault("backbone", {}).setdefault("options", {})[key.split(".", 2)[2]] = parse_value(text)
        return
    if len(matches) != 1:
        raise _unknown(key, None)
    section, name = matches[0].split(".", 1)
    values.setdefault(section, {})[name] = parse_value(text)


def parse_value(text: str) -> Any:
    """A TOML literal (number, true, [\"list\"], \"text\"), else the bare text."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text.strip()
    return parsed["value"] if parsed.keys() == {"value"} else text.strip()


def _unknown(key: str, file: Path | None) -> UsageError:
    known = TrainConfig.names()
    short = {name.split(".", 1)[1]: name for name in known}
    close = difflib.get_close_matches(key, known, 1) or [
        short[match] for match in difflib.get_close_matches(key.rsplit(".", 1)[-1], short, 1)
    ]
    hint = f"; did you mean {close[0]}?" if close else ""
    return UsageError(f"unknown setting {key!r}{hint} Settings are {', '.join(known)}", file=file)
