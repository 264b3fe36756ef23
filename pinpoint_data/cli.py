"""The command `pinpoint`: a group whose commands are loaded only when they are called.

Commands are entry points of the group `pinpoint.commands`, so each package brings its own and nothing here
imports upwards. `pinpoint --help` imports neither numpy nor torch.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from importlib.metadata import EntryPoint, entry_points

import click

from pinpoint_data import __version__
from pinpoint_data.errors import PinpointError, one_line, shortened

# The order is the order of the work; a command from elsewhere is listed after these.
SUMMARIES = {
    "demo": "Run the whole main job on generated pages or your own files.",
    "generate": "Draw documents with true evidence boxes in the official layouts.",
    "ingest": "Read a source (InfographicVQA, DocVQA, your own JSONL, ...) into a workspace.",
    "words": "Take the words of every page: OCR files, PDF text layer, or RapidOCR.",
    "validate": "Check boxes, answers and tables; stable codes, exit 1 on findings.",
    "propose": "Propose evidence boxes from the words of the pages.",
    "evaluate-proposals": "Score any annotator's boxes against the gold, by source and kind.",
    "label-studio": "Make tasks, push them, pull and import the annotators' work.",
    "agreement": "Measure how far the annotators agree: alpha, F1, words, statuses.",
    "adjudicate": "Decide the evidence from all annotations, a policy and manual decisions.",
    "report": "One HTML page: progress, agreement, disputed questions, findings.",
    "publish": "Write a dataset folder that load_dataset opens without our code.",
    "join": "Attach your own page images to a published dataset, hashes checked.",
    "windows": "Add window labels for a token grid to a published dataset.",
    "features": "Encode pages once for training: extract, info, verify, prune.",
    "train": "Train the aligner on a published dataset.",
    "ablate": "Train and score variants of one recipe; print them as a table.",
    "evaluate": "Score a trained run beside random, density, BM25 and the oracle.",
    "ranker": "Train the ranker that `select` uses by default, or show what one was trained on.",
    "select": "Show the regions of a page that a question needs.",
    "answer": "Answer a question from the regions of a page that it needs.",
    "benchmark": "Compare every token-reduction method on the same evidence boxes.",
    "flops": "Count the operations of selecting, refining and answering, part by part.",
}


class LazyGroup(click.Group):
    """A group of commands that are imported one at a time, when asked for."""

    def _points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group="pinpoint.commands")}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all installed commands, in the order of the work."""
        points = self._points()
        return [name for name in SUMMARIES if name in points] + sorted(points.keys() - SUMMARIES.keys())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        point = self._points().get(cmd_name)
        if point is None:
            return None
        try:
            command = point.load()
        except (ImportError, AttributeError) as error:
            missing = getattr(error, "name", None)
            raise click.ClickException(
                f"command {cmd_name!r} ({point.value}) cannot be loaded: {error}. " + _import_remedy(missing, point)
            ) from error
        if not isinstance(command, click.Command):
            raise click.ClickException(f"{point.value} is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them, as click's own method would."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES.get(name, "")) for name in self.list_commands(ctx)])


def _import_remedy(missing: str | None, point: EntryPoint) -> str:
    extras = {"torch": "train", "safetensors": "train", "rapidocr": "ocr", "onnxruntime": "ocr"}
    if missing in extras:
        return f"Install it: pip install 'pinpoint-data[{extras[missing]}]'"
    package = point.value.split(".", 1)[0]
    found = getattr(sys.modules.get(package), "__file__", None) or "nowhere"
    return f"The package {package!r} was found at {found}; a folder of that name of your own may hide ours."


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pinpoint")
@click.option("--debug", is_flag=True, help="Show tracebacks (also PINPOINT_DEBUG=1).")
def root(debug: bool) -> None:
    """Evidence boxes for document question answering.

    From raw document-VQA files to a published dataset, window labels and a trained region selector.

    \b
    Example:
      pinpoint demo demo-out
    """


def main() -> None:
    """Run the command line; every failure is one line on standard error and an exit code."""
    # What is wrong with an image is said in our own line, with the name of the record.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    debug = "--debug" in sys.argv[1:] or os.environ.get("PINPOINT_DEBUG", "") not in ("", "0")
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    stdout = sys.stdout
    try:
        sys.exit(root.main(arguments, prog_name="pinpoint", standalone_mode=False) or 0)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):  # click makes the one of the other
        sys.stderr.write("pinpoint: stopped; finished work is kept, run the same command again to go on\n")
        sys.exit(130)
    except SystemExit as done:
        # When the reader of our output goes away (`pinpoint ... | head`), click swaps sys.stdout and exits with 1;
        # nothing is wrong with the work.
        sys.exit(done.code if sys.stdout is stdout else 0)
    except PinpointError as error:
        _fail(str(error), error.exit_code, debug)
    except OSError as error:
        place = error.filename or "input/output"
        _fail(one_line(f"{_noted(error)}{shortened(str(place))}: {error.strerror or error}"), 1, debug)
    except Exception as error:  # noqa: BLE001 - the last resort of a program: one line, not a traceback
        what = f"{_noted(error)}{type(error).__name__}: {error}"
        _fail(one_line(f"internal error: {what} (run with --debug and report it)"), 1, debug)


def _noted(error: BaseException) -> str:
    """What was noted on the way about where it happened: whose code, at which record."""
    return "".join(f"{note}: " for note in getattr(error, "__notes__", ()))


def _fail(line: str, code: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"pinpoint: {line}\n")
    sys.exit(code)
