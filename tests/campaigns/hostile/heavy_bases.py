"""The bases of what needs torch: a small dataset with a run, a ranker, a feature cache and a model made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.campaigns.hostile.bases import run_pinpoint
from tests.sources.build import put
from tests.words.build import pdf

TINY = {
    "backbone": {"name": "ocr-grid", "options": {"lexical_dim": 16, "pixels": False}},
    "aligner": {"queries": 4, "dim": 8},
    "fit": {"threads": 1, "epochs": 3, "batch": 4},
}
QUESTION = "How_large?"


def _data(folder: Path) -> None:
    from tests.training.test_train_command import fill

    fill(folder, documents=4)
    run_pinpoint(folder, "publish", "ws", "dataset")
    place = {"x0": 0.1, "y0": 0.1, "x1": 0.3, "y1": 0.2}
    words = {
        "words": ["How", "large", "revenue"],
        "bounding_boxes": [[10, 10, 60, 30], [70, 10, 120, 30], [*([140] * 4)]],
    }
    words["bounding_boxes"][2] = [140, 10, 200, 30]
    put(folder / "words.json", words | {"place": place})


def trained(folder: Path) -> None:
    """A run that was not trained at all, which its files do not show."""
    from tests.training.runs import tiny_run

    _data(folder)
    tiny_run(folder / "run", ("forms/0", "forms/1"), ("forms/2", "forms/3"))


def unfinished(folder: Path) -> None:
    """A run that was stopped at its second step."""
    from training.config import parse_config
    from training.fitting.fit import fit
    from training.fitting.start import new_run

    _data(folder)
    trainer = new_run(folder / "run", folder / "dataset", folder / "ws", parse_config(TINY))
    step = trainer.train_step

    def stopped() -> Any:
        if trainer.step == 2:
            trainer.save_state()
            raise KeyboardInterrupt
        return step()

    trainer.train_step = stopped  # type: ignore[method-assign]
    try:
        fit(trainer, lambda record: None)
    except KeyboardInterrupt:
        return
    raise RuntimeError("the run was not stopped")


def settings(folder: Path) -> None:
    """Settings as TOML, and a workspace whose pages they are for."""
    _data(folder)
    text = [
        f"[{section}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())
        for section, values in TINY.items()
    ]
    put(folder / "settings.toml", "\n".join(text))


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def ranked(folder: Path) -> None:
    """A ranker, and a page to select from."""
    from tests.training.ranker.build import random_ranker

    _data(folder)
    random_ranker().save(folder / "mine.safetensors")


def cached(folder: Path) -> None:
    """A run and the tokens of its pages."""
    trained(folder)
    run_pinpoint(folder, "features", "extract", "feats", "--workspace", "ws", "--run", "run", "--jobs", "1")


def asked(folder: Path) -> None:
    """A PDF and a page with words, to ask about."""
    _data(folder)
    pdf(folder / "report.pdf", [(20, 250, "Net income 42"), (20, 200, "Total 17")])


def measured(folder: Path) -> None:
    """A benchmark that was stopped half way."""
    _data(folder)
    run_pinpoint(folder, "benchmark", *_BENCHMARK.split())


_BENCHMARK = (
    "--dataset dataset --workspace ws --out bench --selector random --selector bm25 --limit 3 --examples 1 "
    "--resamples 10 --budgets 0.1,0.5"
)
BENCHMARK = f"benchmark {_BENCHMARK} --json"


def scored(folder: Path) -> None:
    """A run that was evaluated once."""
    trained(folder)


def model(folder: Path) -> None:
    """A vision-language model in a folder of its own."""
    from tests.training.vlm.tiny import tiny_model_folder

    _data(folder)
    tiny_model_folder("qwen2-vl", folder / "model")
