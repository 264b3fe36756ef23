"""`pinpoint label-studio ...`: one file a command, imported when it is called."""

from __future__ import annotations

from importlib import import_module

import click

_COMMANDS = {
    "config": ("annotation.label_studio.commands.config:config", "Print the labelling interface."),
    "export": ("annotation.label_studio.commands.export:export", "Write task files to import by hand."),
    "preflight": ("annotation.label_studio.commands.preflight:preflight", "Check tasks before any upload."),
    "push": ("annotation.label_studio.commands.push:push", "Make or update a project's tasks on a server."),
    "pull": ("annotation.label_studio.commands.pull:pull", "Take the annotators' work from a server."),
    "import": ("annotation.label_studio.commands.import_file:import_file", "Take it from a raw JSON export."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


@click.group(cls=_LazyGroup)
def label_studio() -> None:
    """The round trip with Label Studio: tasks out, the annotators' work back.

    \b
    Example:
      pinpoint label-studio push ws --url http://localhost:8080 --project "evidence 1"
      pinpoint label-studio pull ws --url http://localhost:8080 --project "evidence 1"
    """
