"""The HTML file around the data: templates inlined, JSON made safe inside HTML, a policy that allows nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from annotation.report.text import shown
from pinpoint_data import __version__

SCRIPTS = ("dom.js", "charts.js", "overview.js", "draw.js", "questions.js", "detail.js", "main.js")


def render(title: str, data: dict[str, Any], pictures: dict[int, str]) -> str:
    """The whole file; the same arguments give the same text.

    Style and script are allowed by their hashes, pictures as data URIs, and nothing else: no request, no inline
    handler, no markup made from text (`require-trusted-types-for`).
    """
    templates = files("annotation.report") / "templates"
    style = (templates / "style.css").read_text(encoding="utf-8")
    parts = [(templates / name).read_text(encoding="utf-8") for name in SCRIPTS]
    # One function scope: an element's id or a frame's name cannot stand for one of ours.
    script = "\n".join(["(() => {", '"use strict";', *parts, "})();"])
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    environment = Environment(
        loader=PackageLoader("annotation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html").render(
        title=shown(title),
        version=__version__,
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        data=embedded(data),
        pictures=embedded({str(number): uri for number, uri in pictures.items()}),
    )


def embedded(value: Any) -> Markup:
    r"""JSON that can stand inside a script element: ASCII, and `<` as `\u003c`, so that nothing in it ends it.

    Raises:
        ValueError: A number is not finite.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
