"""Kinds whose commands need torch: settings, runs, rankers, feature caches, pages and questions to select from."""

from __future__ import annotations

from tests.campaigns.hostile import bombs, heavy_bases
from tests.campaigns.hostile.byte_mutations import mutate_bytes
from tests.campaigns.hostile.cases import Kind
from tests.campaigns.hostile.json_mutations import mutate_json, mutate_lines
from tests.campaigns.hostile.table_mutations import mutate_table
from tests.campaigns.hostile.tensor_mutations import mutate_tensors, sign_ranker, sign_run
from tests.campaigns.hostile.text_mutations import mutate_text

_SELECT = f"select 0.png {heavy_bases.QUESTION} --words words.json --out selection --json"
_EVALUATE = "evaluate run --dataset dataset --workspace ws --resamples 10 --no-ranker --json"

HEAVY = (
    Kind(
        "settings",
        heavy_bases.settings,
        {"settings.toml": mutate_text},
        ("features extract feats --workspace ws --config settings.toml --dry-run --jobs 1 --json",),
        heavy=True,
    ),
    Kind(
        "run",
        heavy_bases.trained,
        {"run/config.json": mutate_json, "run/aligner.safetensors": mutate_tensors, "run/documents.json": mutate_json},
        (f"{_SELECT} --run run",),
        (_EVALUATE,),
        bombs={"run/aligner.safetensors": bombs.WEIGHTS},
        sign=sign_run,
        heavy=True,
    ),
    Kind(
        "state of a run",
        heavy_bases.unfinished,
        {"run/state.safetensors": mutate_tensors, "run/metrics.jsonl": mutate_lines, "run/config.json": mutate_json},
        ("train run --dataset dataset --workspace ws --resume --json",),
        bombs={"run/state.safetensors": bombs.WEIGHTS},
        heavy=True,
        share=0.3,
    ),
    Kind(
        "ranker",
        heavy_bases.ranked,
        {"mine.safetensors": mutate_tensors},
        ("ranker info mine.safetensors --json", f"{_SELECT} --ranker mine.safetensors"),
        bombs={"mine.safetensors": bombs.WEIGHTS},
        sign=sign_ranker,
        heavy=True,
    ),
    Kind(
        "feature cache",
        heavy_bases.cached,
        {"feats/*.json": mutate_json, "feats/**/*.parquet": mutate_table, "feats/**/*.safetensors": mutate_tensors},
        ("features info feats --json", "features verify feats --json", "features prune feats --dry-run --json"),
        (f"{_EVALUATE} --cache feats",),
        bombs={"feats/**/*.safetensors": bombs.WEIGHTS, "feats/**/*.parquet": bombs.TABLES},
        heavy=True,
    ),
    Kind(
        "page to select from",
        heavy_bases.asked,
        {"words.json": mutate_json, "0.png": mutate_bytes},
        (_SELECT,),
        bombs={"0.png": bombs.IMAGES, "words.json": bombs.JSONS},
        heavy=True,
    ),
    Kind(
        "pdf to select from",
        heavy_bases.asked,
        {"report.pdf": mutate_bytes},
        (f"select report.pdf {heavy_bases.QUESTION} --out selection --json",),
        bombs={"report.pdf": bombs.PDFS},
        heavy=True,
        share=0.5,
    ),
    Kind(
        "dataset to learn from",
        heavy_bases.trained,
        {
            "dataset/pinpoint.json": mutate_json,
            "dataset/README.md": mutate_text,
            "dataset/forms/*.parquet": mutate_table,
            "ws/words/*.parquet": mutate_table,
            "ws/pages/*.parquet": mutate_table,
        },
        (_EVALUATE,),
        bombs={"dataset/README.md": bombs.CARDS, "dataset/forms/*.parquet": bombs.TABLES},
        heavy=True,
        share=0.3,
    ),
    Kind(
        "log of a benchmark",
        heavy_bases.measured,
        {"bench/samples.jsonl": mutate_lines},
        (heavy_bases.BENCHMARK,),
        heavy=True,
        share=0.2,
    ),
    Kind(
        "model folder",
        heavy_bases.model,
        {"model/*.json": mutate_json, "model/*.safetensors": mutate_bytes},
        (
            "features extract feats --workspace ws --config qwen2-vl --model model --set backbone.options.device=cpu "
            "--set backbone.options.dtype=float32 --source forms --share 1/4 --jobs 1 --json",
        ),
        bombs={"model/*.safetensors": bombs.WEIGHTS},
        heavy=True,
        share=0.2,
    ),
)
