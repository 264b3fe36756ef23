"""`pinpoint features`: encode pages once, keep their tokens on disk, check and tidy them."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinpoint_data.console import emit, jobs_option, json_option
from pinpoint_data.engines import engine_option, make_workers, ray_address_option
from pinpoint_data.errors import UsageError
from training.commands.opening import model_option, model_setting

if TYPE_CHECKING:
    from pinpoint_data.engines.ray_data import RayWorkers
    from training.backbones.base import Backbone
    from training.config import BackboneConfig
    from training.features import FeatureCache, Plan
    from training.features.pruning import PrunePlan
    from training.features.scanning import Scan
    from training.pages.store import PageStore

_FOLDER = click.Path(path_type=Path, file_okay=False)
_SHOWN = 20

folder_argument = click.argument("folder", type=_FOLDER)


@click.group()
def features() -> None:
    """Visual tokens of pages, encoded once and kept on disk.

    \b
    Example:
      pinpoint features extract features --workspace ws --config llava-next
      pinpoint features verify features
    """


def _parse_share(ctx: click.Context, option: click.Parameter, value: str) -> tuple[int, int]:
    part, _, parts = value.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise click.BadParameter(f"expected PART/PARTS like 2/8, got {value!r}", ctx, option)
    return int(part), int(parts)


@features.command()
@folder_argument
@click.option("--workspace", type=_FOLDER, required=True, help="Workspace with the pages.")
@click.option("--dataset", type=_FOLDER, help="Only the pages of this published dataset.")
@click.option("--source", "sources", multiple=True, help="Only pages of this source; may be repeated.")
@click.option("--config", metavar="FILE|RECIPE", help="Settings whose backbone is used; ocr-grid by default.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one setting; may be repeated.")
@click.option("--run", type=_FOLDER, help="Instead: the backbone of a trained run.")
@model_option
@click.option("--share", default="1/1", callback=_parse_share, metavar="PART/PARTS", help="For several jobs at once.")
@click.option("--batch-tokens", type=click.IntRange(min=1), help="Tokens encoded at once. Default: 16384.")
@click.option("--dry-run", is_flag=True, help="Only say how many pages, tokens and bytes it would be.")
@jobs_option
@engine_option
@ray_address_option
@click.option(
    "--ray-gpus", type=click.FloatRange(min=0), metavar="N",
    help="With --engine ray: GPUs of each process. Default: 1 where the cluster has some and the backbone uses one.",
)  # fmt: skip
@json_option
@click.pass_context
def extract(
    ctx: click.Context,
    folder: Path,
    workspace: Path,
    dataset: Path | None,
    sources: tuple[str, ...],
    config: str | None,
    settings: tuple[str, ...],
    run: Path | None,
    model: str | None,
    share: tuple[int, int],
    batch_tokens: int | None,
    dry_run: bool,
    jobs: int,
    engine: str,
    ray_address: str | None,
    ray_gpus: float | None,
    as_json: bool,
) -> None:
    """Encode pages into the cache FOLDER.

    A page is known by its file's hash, so a file under several names is encoded once. Says how much it will be, and
    refuses what does not fit on the disk. A stopped or killed run resumes with the same command; jobs on several
    machines may write into one folder, best with a --share each. Pages that cannot be used are listed; the exit code
    is 1 then.

    \b
    Examples:
      pinpoint features extract features --workspace ws --dataset dataset --run runs/first
      pinpoint features extract features --workspace ws --config llava-next --model models/llava --share 2/8
    """
    if engine == "local" and ray_gpus is not None:
        raise UsageError("--ray-gpus belongs to --engine ray")
    workers = make_workers(ctx, engine, jobs, ray_address)
    chosen, backbone = _backbone(config, settings, run, model)
    from pinpoint_data.engines.ray_data import RayWorkers
    from pinpoint_data.workspace import Workspace
    from training.features import plan_extraction
    from training.features.plan import check_space
    from training.pages.store import PageStore

    store = PageStore.of_backbone(Workspace.open(workspace), backbone)
    cache, cached = _opened(folder, backbone)
    plan = plan_extraction(cache, backbone, store, _page_ids(store, dataset, sources), cached, share)
    click.echo(_opening(cache, plan), err=True)
    payload = {"folder": str(folder), "share": list(share), "plan": plan.to_json()}
    if dry_run:
        emit(payload | plan.outcome.to_json(), "", as_json=as_json)
        ctx.exit(plan.outcome.exit_code)
    check_space(folder, plan)
    started = time.monotonic()
    if isinstance(workers, RayWorkers):
        stopped_by = _encode_on_ray(folder, chosen, backbone, store, plan, batch_tokens, workers, ray_gpus)
    else:
        stopped_by = _encode(folder, backbone, store, plan, batch_tokens, jobs)
    payload |= plan.outcome.to_json() | {"seconds": time.monotonic() - started, "stopped": stopped_by is not None}
    emit(payload, f"{folder}: {plan.outcome.text(_SHOWN)}", as_json=as_json)
    if stopped_by is not None:
        name = signal.Signals(stopped_by).name
        click.echo(f"{name}: stopped, what was encoded is kept; the same command goes on", err=True)
        ctx.exit(128 + stopped_by)
    ctx.exit(plan.outcome.exit_code)


def _backbone(
    config: str | None, settings: tuple[str, ...], run: Path | None, model: str | None
) -> tuple[BackboneConfig, Backbone]:
    from training.backbones import make_backbone
    from training.checkpoint import read_run_config
    from training.config import load_config

    if run is not None:
        if config or settings:
            raise UsageError("--run brings its own settings; leave out --config and --set")
        found, backbone, _ = read_run_config(run, {} if model is None else {"model": model})
        return found.backbone, backbone
    chosen = load_config(config, [*settings, *model_setting(model)]).backbone
    try:
        return chosen, make_backbone(chosen.name, chosen.options)
    except UsageError as error:
        raise UsageError(error.message, file=None if settings else config, remedy=error.remedy) from error


def _page_ids(store: PageStore, dataset: Path | None, sources: tuple[str, ...]) -> list[str]:
    if dataset is not None:
        from loaders.samples import load_samples

        return list(dict.fromkeys(page.page_id for s in load_samples(dataset, sources or None) for page in s.pages))
    workspace = store.workspace
    parts = sorted({part for source in sources or (None,) for part in workspace.parts_of("pages", source)})
    rows = workspace.iter_rows("pages", parts, ["page_id", "source"])
    return list(dict.fromkeys(row["page_id"] for row in rows if not sources or row["source"] in sources))


def _opened(folder: Path, backbone: Backbone) -> tuple[FeatureCache, set[str]]:
    """The cache, which need not be there yet, and the names that it has."""
    from training.features import FeatureCache, open_cache, scan
    from training.features.cache import CACHE_FILE, refuse_other_folder

    if not (folder / CACHE_FILE).exists():
        refuse_other_folder(folder)
        return FeatureCache.of(folder, backbone), set()
    cache = open_cache(folder, backbone)
    found = scan(cache)
    for problem in found.problems:
        click.echo(f"pinpoint: warning: {problem}", err=True)
    return cache, set(found.entries)


def _opening(cache: FeatureCache, plan: Plan) -> str:
    from training.features.plan import in_gb

    refused = f", {plan.outcome.refused.total():,} unusable" if plan.outcome.refused else ""
    return (
        f"{plan.pages:,} pages, {plan.distinct:,} distinct, {plan.cached:,} in the cache{refused}; to encode: "
        f"{len(plan.todo):,} pages, {plan.tokens:,} tokens x {cache.token_dim:,} {cache.dtype} = {in_gb(plan.bytes)}"
    )


def _encode(
    folder: Path, backbone: Backbone, store: PageStore, plan: Plan, batch_tokens: int | None, jobs: int
) -> int | None:
    from training.features import create_cache, extract
    from training.features.extraction import BATCH_TOKENS
    from training.fitting.interrupt import stop_on_signals

    cache = create_cache(folder, backbone)
    with stop_on_signals() as stop:
        extract(
            cache,
            backbone,
            store,
            plan,
            batch_tokens=batch_tokens or BATCH_TOKENS,
            jobs=jobs,
            stop=lambda: bool(stop),
        )
    return stop.signal


def _encode_on_ray(
    folder: Path,
    chosen: BackboneConfig,
    backbone: Backbone,
    store: PageStore,
    plan: Plan,
    batch_tokens: int | None,
    workers: RayWorkers,
    gpus: float | None,
) -> int | None:
    import torch

    from training.features import create_cache
    from training.features.blocks import BlockEncoder, extract_blocks
    from training.features.extraction import BATCH_TOKENS
    from training.fitting.interrupt import stop_on_signals

    cache, workspace = create_cache(folder, backbone), store.workspace
    made_of = (chosen.name, chosen.options)
    encoder = BlockEncoder(cache, workspace.path, made_of, batch_tokens or BATCH_TOKENS, torch.get_num_threads())
    with workers, stop_on_signals(at_once=True) as stop:
        if gpus is None:
            wanted = plan.todo and getattr(backbone, "wants_gpu", False) and chosen.options.get("device") != "cpu"
            gpus = 1.0 if wanted and workers.gpus() else 0.0
        extract_blocks(encoder, store, plan, workers, gpus=gpus, stop=lambda: bool(stop))
    return stop.signal


@features.command()
@folder_argument
@json_option
def info(folder: Path, as_json: bool) -> None:
    """Say whose tokens FOLDER holds and how many.

    \b
    Example:
      pinpoint features info features
    """
    from training.features import read_cache, scan

    cache = read_cache(folder)
    payload = _described(cache, scan(cache))
    emit(payload, _info_text(payload), as_json=as_json)


def _described(cache: FeatureCache, found: Scan) -> dict[str, Any]:
    entries = found.entries.values()
    return {
        "folder": str(cache.folder),
        "backbone": cache.spec,
        "token_dim": cache.token_dim,
        "dtype": cache.dtype,
        "pages": len(entries),
        "tokens": sum(entry.tokens for entry in entries),
        "bytes": sum(entry.bytes for entry in entries),
        "shards": len(found.shards),
        "shard_bytes": sum(shard.bytes for shard in found.shards),
        "duplicates": len(found.duplicates),
        "unindexed": len(found.unindexed),
        "unfinished": len(found.unfinished),
        "problems": [str(problem) for problem in found.problems],
    }


def _info_text(payload: dict[str, Any]) -> str:
    import json

    from training.features.plan import in_gb

    spec = payload["backbone"]
    lines = [f"{payload['folder']}: {spec.get('name')}, version {spec.get('version')}"]
    lines += [f"  {name}: {json.dumps(value)}" for name, value in sorted(spec.get("options", {}).items())]
    lines += [
        f"{payload['pages']:,} pages, {payload['tokens']:,} tokens x {payload['token_dim']:,} {payload['dtype']} = "
        f"{in_gb(payload['bytes'])}; shards: {payload['shards']:,}, {in_gb(payload['shard_bytes'])}"
    ]
    spare = {name: payload[name] for name in ("duplicates", "unindexed", "unfinished") if payload[name]}
    if spare:
        lines.append(", ".join(f"{n:,} {name}" for name, n in spare.items()) + " (pinpoint features prune)")
    return "\n".join([*lines, *payload["problems"]])


@features.command()
@folder_argument
@json_option
@click.pass_context
def verify(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """Read every token in FOLDER and compare it with its checksum; exit 1 on damage.

    \b
    Example:
      pinpoint features verify features
    """
    from training.features import read_cache, scan, verify

    cache = read_cache(folder)
    outcome, _ = verify(cache, scan(cache))
    emit({"folder": str(folder)} | outcome.to_json(), f"{folder}: {outcome.text(_SHOWN)}", as_json=as_json)
    ctx.exit(outcome.exit_code)


@features.command()
@folder_argument
@click.option("--workspace", "workspaces", type=_FOLDER, multiple=True, help="Keep only its pages; may be repeated.")
@click.option("--checksums", is_flag=True, help="Read every token, and drop damaged ones too.")
@click.option(
    "--grace", type=click.FloatRange(min=0), default=24.0, show_default=True, metavar="HOURS",
    help="Leave unfinished files younger than this to their writers.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would be dropped.")
@json_option
def prune(
    folder: Path, workspaces: tuple[Path, ...], checksums: bool, grace: float, dry_run: bool, as_json: bool
) -> None:
    """Drop from FOLDER what nobody needs: duplicates, damaged shards, leftovers of killed writers.

    With --workspace also the tokens of pages that no such workspace has any more. Not while something reads the
    cache; writers do not mind.

    \b
    Example:
      pinpoint features prune features --workspace ws --dry-run
    """
    from training.features import prune, read_cache

    cache = read_cache(folder)
    wanted = _wanted(cache, workspaces) if workspaces else None

    def report(plan: PrunePlan) -> None:
        click.echo(_prune_text(plan, folder), err=True)

    plan = prune(cache, grace_hours=grace, checksums=checksums, wanted=wanted, dry_run=dry_run, report=report)
    payload = {
        "folder": str(folder),
        "dry_run": dry_run,
        "entries": dict(sorted(plan.entries.items())),
        "leftovers": plan.leftovers,
        "left_alone": [str(path) for path in plan.waiting],
        "freed_bytes": plan.freed_bytes,
    }
    emit(payload, f"{folder}: {'nothing was dropped' if dry_run else 'done'}", as_json=as_json)


def _wanted(cache: FeatureCache, workspaces: tuple[Path, ...]) -> set[str]:
    from pinpoint_data.errors import PageError
    from pinpoint_data.progress import track
    from pinpoint_data.workspace import Workspace
    from training.features import page_key
    from training.pages.store import PageStore

    wanted = set()
    for workspace in workspaces:
        store = PageStore(Workspace.open(workspace))
        for page_id in track(_page_ids(store, None, ()), "pages"):
            try:
                wanted.add(page_key(store, page_id, reads_words=cache.reads_words).name)
            except PageError:  # a page without a hash is in no cache
                continue
    return wanted


def _prune_text(plan: PrunePlan, folder: Path) -> str:
    from training.features.plan import in_gb

    kinds = [f"{n:,} entries: {reason}" for reason, n in sorted(plan.entries.items())]
    kinds += [f"{plan.leftovers:,} leftover or damaged files"] if plan.leftovers else []
    lines = [f"{folder}: {in_gb(plan.freed_bytes)} to free; {'; '.join(kinds) or 'nothing to drop'}"]
    if plan.waiting:
        lines.append(f"left alone, perhaps a living writer's (--grace): {', '.join(p.name for p in plan.waiting)}")
    return "\n".join(lines)
