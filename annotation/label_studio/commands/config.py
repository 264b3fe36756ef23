"""`pinpoint label-studio config`: the labelling interface."""

from __future__ import annotations

import click

from pinpoint_data.console import emit, json_option


@click.command()
@click.option("--review", metavar="NAME", multiple=True, help="Also show the boxes of this annotator; may be repeated.")
@json_option
def config(review: tuple[str, ...], as_json: bool) -> None:
    """Print the labelling interface, for Settings, Labeling Interface, Code.

    \b
    Examples:
      pinpoint label-studio config > config.xml
      pinpoint label-studio config --review label-studio:3 --review label-studio:4
    """
    from annotation.label_studio.interface import (
        CHOICES,
        INSTRUCTIONS,
        INTERFACE_VERSION,
        TASK_SCHEMA_VERSION,
        config_xml,
    )
    from pinpoint_data.schema import ROLES

    xml = config_xml(review)
    payload = {
        "config": xml,
        "instructions": INSTRUCTIONS,
        "labels": list(ROLES),
        "choices": list(CHOICES),
        "interface_version": INTERFACE_VERSION,
        "task_schema_version": TASK_SCHEMA_VERSION,
    }
    emit(payload, xml.rstrip("\n"), as_json=as_json)
