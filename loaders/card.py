"""The README of a published dataset: YAML for `datasets` and the Hub, then the card for people."""

from __future__ import annotations

from functools import cache
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from loaders.licences import hub_id
from loaders.manifest import Manifest
from pinpoint_data.errors import one_line

_ROWS = {
    "questions": "a question, its pages and its evidence",
    "pages": "a page of a question",
    "annotations": "one annotator's region or verdict",
    "windows": "a question's page, with a label for every window",
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MARKUP = str.maketrans({c: f"\\{c}" for c in "\\`*_[]|~#"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})


def markdown_text(value: object) -> str:
    """Any text as itself in one line of Markdown: no markup, no HTML, no end of a table cell."""
    return one_line(str(value)).translate(_MARKUP)


def front_matter(manifest: Manifest) -> dict[str, Any]:
    """The YAML header: which files make which config, and what the Hub shows about the dataset."""
    known = hub_id(manifest.license)
    licence = {"license": known} if known else {"license": "other", "license_name": "see-card"}
    questions = sum(config.rows for config in manifest.of_kind("questions"))
    configs = []
    for config in manifest.configs:
        entry: dict[str, Any] = {"config_name": config.name}
        if config.name == manifest.default:
            entry["default"] = True
        # Part of the key of the user's cache, see `Manifest.version`.
        entry["version"] = manifest.version
        entry["data_files"] = [{"split": name, "path": f"{config.name}/{name}-*.parquet"} for name in config.splits]
        configs.append(entry)
    return {
        "pretty_name": one_line(manifest.title),
        **licence,
        "task_categories": ["visual-question-answering", "document-question-answering"],
        "tags": ["evidence", "bounding-boxes", "document-understanding", "pinpoint-data"],
        "size_categories": [next((name for limit, name in _SIZES if questions < limit), "n>1M")],
        "configs": configs,
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("loaders"),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown, not HTML: the filter `md` escapes whatever others wrote
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = markdown_text
    return environment


def render_card(manifest: Manifest) -> str:
    """The whole README.md."""
    splits = list(dict.fromkeys(name for config in manifest.configs for name in config.splits))
    default = manifest.of_kind("questions")[0]
    annotators: dict[str, int] = {}
    for config in manifest.of_kind("annotations"):
        annotators |= config.fact("annotator")
    template = _environment().get_template("card.md.j2")
    return template.render(
        manifest=manifest,
        front=yaml.safe_dump(front_matter(manifest), sort_keys=False, allow_unicode=True),
        folder="path/to/this/folder",
        split=next(iter(default.splits)),
        splits=splits,
        rows=_ROWS,
        cells=lambda config: " | ".join(
            f"{config.splits[name].rows:,}" if name in config.splits else "–" for name in splits
        ),
        annotators=annotators,
        windows=manifest.of_kind("windows"),
    )


def update_card(text: str, before: Manifest, after: Manifest) -> str:
    """The README after a config was added: written anew, unless a person edited it.

    Of an edited README only `configs` in the YAML header changes, which `datasets` needs; the rest is theirs.
    """
    parts = text.split("---\n", 2)
    if text == render_card(before) or len(parts) != 3 or parts[0]:
        return render_card(after)
    try:
        header = yaml.safe_load(parts[1])
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: the 45th of a 13th month
        return render_card(after)
    if not isinstance(header, dict):
        return render_card(after)
    header["configs"] = front_matter(after)["configs"]
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n{parts[2]}"
