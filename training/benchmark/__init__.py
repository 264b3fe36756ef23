"""The evidence benchmark: what every token selector leaves of the same gold boxes, at the same budgets.

data, summary = run_benchmark(dataset, workspace, Path("out"), BenchmarkSettings(selectors=("random", "bm25")))
summary["scores"]["bm25"]["evidence_recall@0.25"]["mean"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.benchmark.opening import ModelOptions
    from training.benchmark.run import BenchmarkSettings, run_benchmark

__all__ = ["BenchmarkSettings", "ModelOptions", "run_benchmark"]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, which the tables and curves of a finished benchmark need not wait for.
    if name in __all__:
        from training.benchmark import opening, run

        return getattr(opening if name == "ModelOptions" else run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
