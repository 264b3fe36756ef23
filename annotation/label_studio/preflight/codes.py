"""What preflight looks for: one member a kind of problem, with a stable code, a severity and a remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pinpoint_data.errors import one_line
from pinpoint_data.validation.findings import Severity

_SHOWN = 300


class Code(Enum):
    """Kinds of problems: code, severity, what was found, what Label Studio would do with it, remedy.

    What Label Studio does was seen on a running server (1.23.2).
    """

    NO_JSON = (
        *("no-json", "error", "the file cannot be read as JSON"),
        *("The whole import is refused.", "write the file again"),
    )
    NO_TASKS = ("no-tasks", "error", "there is no task", "The import is refused.", "export some questions")
    NO_TASK = (
        *("no-task", "error", "an entry of the list is no task (an object with `data`)"),
        *("It is taken as a task with other keys, or the whole list is refused.", "give a list of tasks"),
    )
    UNFINISHED_EXPORT = (
        *("unfinished-export", "error", "the export of this folder was not finished"),
        *("Tasks would be missing.", "run the export again"),
    )
    CHANGED_FILE = (
        *("changed-file", "error", "a task file is not the one that the export wrote, or is missing"),
        *("Tasks would be missing, or are not those of the workspace.", "run the export again"),
    )
    FED_BACK = (
        *(
            "export-fed-back",
            "error",
            "the task comes from a raw export: its predictions are ids, or it has annotations",
        ),
        *("The import answers 500 and leaves tasks behind.", "import tasks made by `pinpoint label-studio export`"),
    )
    DATA_KEY = (
        *("data-key-missing", "error", "a key that the interface shows is missing, null or no text"),
        *("The whole list is refused, or the editor is empty.", "make the tasks for this interface"),
    )
    NO_PAGES = (
        *("no-pages", "error", "`pages` is missing or empty"),
        *("The task is taken, and the editor shows no image.", "give at least one address"),
    )
    PAGES_NO_LIST = (
        *("pages-no-list", "error", "`pages` is not a list of addresses"),
        *("The task is taken; of a string every letter becomes a page.", "put the address into a list"),
    )
    BAD_ITEMS = (
        *("bad-items", "error", "`items` does not say what each entry of `pages` shows"),
        *("The boxes could not be given back to their pages.", "export the task again"),
    )
    PINPOINT_ID = (
        *("pinpoint-id-missing", "error", "the task has no `pinpoint_id`"),
        *("It could not be found again: every import would make it anew.", "export the task again"),
    )
    DUPLICATE_TASK = (
        *("duplicate-pinpoint-id", "error", "a `pinpoint_id` stands twice"),
        *("Import makes two tasks of it, and annotators do the work twice.", "remove one of the two"),
    )
    SCHEMA = (
        *("schema-version", "error", "`schema_version` is missing, no whole number, or newer than this program's"),
        *("The importer could not read the annotations.", "export the task again, or upgrade pinpoint-data"),
    )
    SURROGATE = (
        *("lone-surrogate", "error", "a text holds half of a surrogate pair"),
        *("It is taken, and afterwards every export of the project answers 500.", "remove the character"),
    )
    NOT_FINITE = (
        *("not-finite", "error", "a number is NaN or infinite"),
        *("The whole list is refused.", "give a finite number, or leave the region out"),
    )
    CONTROL = (
        *("control-character", "warning", "a text holds a control character"),
        *("SQLite takes it, PostgreSQL refuses U+0000.", "remove the character"),
    )
    TASK_SIZE = (
        *("task-too-large", "error", "a task is larger than 250 MiB, the server's limit for a request"),
        *("The import answers 500, nothing is stored.", "serve the images instead of data URIs"),
    )
    FILE_SIZE = (
        *("file-too-large", "error", "a file is larger than 250 MiB, the server's limit for a request"),
        *("The import answers 500, nothing is stored.", "write smaller files"),
    )
    CHUNK = (
        *("chunk-too-large", "warning", "a file holds more than 500 tasks or 20 MB"),
        *("Large imports time out, and lose predictions while others annotate.", "write smaller files"),
    )
    TITLE = (
        *("title-length", "error", "the project's title is not 3 to 50 characters long"),
        *("The project is refused.", "choose another title"),
    )
    BAD_PREDICTION = (
        *("bad-prediction", "error", "a prediction is no object with a list `result`"),
        *("It is taken, and the editor stays empty.", "give a list of regions"),
    )
    MODEL_VERSION = (
        *("model-version-missing", "error", "a prediction has no `model_version`"),
        *("The label stream shows none of its boxes.", "name what made it"),
    )
    MIXED_VERSIONS = (
        *("mixed-model-versions", "warning", "the predictions have several `model_version`s"),
        *("The label stream prefills from one version only; other tasks open empty.", "make a project for each"),
    )
    SCORE = (
        *("score-out-of-range", "error", "a score is not a number from 0 to 1"),
        *("One way of sending drops the prediction silently.", "clip it"),
    )
    PRELABEL = (
        *("prelabel-mismatch", "error", "`prelabel` and the prediction do not name the same boxes"),
        *("Untouched boxes could not be told from new ones.", "export the task again"),
    )
    BAD_REGION = (
        *("bad-region", "error", "an entry of `result` is no object with a `value`"),
        *("The editor fails on it.", "leave it out"),
    )
    REGION_ID = (
        *("region-id-missing", "error", "a region has no id"),
        *("It gets another one, and cannot be known again.", "give each region an id"),
    )
    DUPLICATE_REGION = (
        *("duplicate-region-id", "error", "two regions of a task have one id"),
        *("They are merged: the second takes the first one's box and page.", "give each region its own id"),
    )
    CONTROL_NAME = (
        *("unknown-from-name", "error", "`from_name` is no control of the interface"),
        *("The box is shown without a label and exported without one.", "name a control of the interface"),
    )
    OBJECT_NAME = (
        *("unknown-to-name", "error", "`to_name` is not what the control marks"),
        *("The box is lost without a warning.", "name the image of the interface"),
    )
    TYPE = (
        *("wrong-type", "error", "`type`, or the key of the value, is not the control's"),
        *("The box is shown without a label, or not at all.", "give the control's own type"),
    )
    LABEL = (
        *("unknown-label", "error", "a label is none of the interface, or there is not exactly one"),
        *("It is shown and exported as it is, a label that nobody defined.", "use a label of the interface"),
    )
    CHOICE = (
        *("unknown-choice", "error", "a choice is none of the interface"),
        *("Nothing is selected on screen, yet it is exported.", "use a choice of the interface"),
    )
    NO_ITEM = (
        *("item-index-missing", "error", "a box has no `item_index`"),
        *("It is put on the first page.", "number the pages from 0"),
    )
    ITEM_TYPE = (
        *("item-index-type", "error", "`item_index` is not a whole number"),
        *("The editor fails, and Submit saves an empty result.", "give a whole number"),
    )
    ITEM_RANGE = (
        *("item-index-range", "error", "`item_index` is not one of the task's pages"),
        *("The task cannot be submitted.", "number the pages from 0"),
    )
    NO_SIZE = (
        *("size-missing", "error", "`original_width` or `original_height` is missing"),
        *("It stays missing in the export of pages that nobody opened.", "give the size of the item in pixels"),
    )
    WRONG_SIZE = (
        *("size-wrong", "error", "`original_width` x `original_height` is not the size of the item"),
        *("On pages that nobody opened it is exported as it is.", "give the size after EXIF orientation"),
    )
    NUMBER = (
        *("coordinate-no-number", "error", "x, y, width, height or rotation is no number"),
        *("The geometry is lost: the box comes back with a label alone.", "give numbers, in percent"),
    )
    PIXELS = (
        *("pixels-not-percent", "error", "a coordinate is above 100: pixels instead of percent"),
        *("The box is not shown.", "divide by the size of the item and multiply by 100"),
    )
    BEYOND = (
        *("beyond-edge", "error", "the box reaches over the right or lower edge (x + width or y + height above 100)"),
        *("It is kept as sent and exported so.", "cut the box at the edge"),
    )
    NEGATIVE = (
        *("negative-coordinate", "error", "x or y is below 0"),
        *("It is kept as sent and exported so.", "cut the box at the edge"),
    )
    AREA = (
        *("no-area", "error", "width or height is 0 or less"),
        *("An invisible box is kept and exported.", "leave it out"),
    )
    IMAGE_ADDRESS = (
        *("image-address", "error", "an address is none that a browser can open (a path, file://, empty, ...)"),
        *("The editor shows an error instead of the page.", "use --images local-files, or an http(s) address"),
    )
    IMAGE_OUTSIDE = (
        *("image-outside-root", "error", "a local file leads out of the document root, or is the root"),
        *("The server does not give it out.", "write the page files below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"),
    )
    IMAGE_MISSING = (
        *("image-missing", "error", "a local file does not exist below the document root"),
        *(
            "The editor shows an error instead of the page.",
            "set LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT to the folder that the address is relative to",
        ),
    )
    IMAGE_UNREACHABLE = (
        *("image-unreachable", "error", "an image's address does not answer with an image"),
        *(
            "The editor shows an error instead of the page.",
            "start the server with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and its DOCUMENT_ROOT, add the folder "
            "of the page files as a storage (Settings, Cloud Storage, Local files), or correct the address",
        ),
    )
    IMAGE_DAMAGED = (
        *("image-damaged", "error", "a data URI or file is no image"),
        *("The editor shows an error instead of the page.", "export the task again"),
    )
    IMAGE_SIZE = (
        *("image-size", "error", "an image has another size than its item"),
        *("Boxes stand in the wrong place.", "serve the images that were ingested, without scaling"),
    )
    IMAGE_UNCHECKED = (
        *("image-unchecked", "info", "images were not looked at: that needs the server or its document root"),
        *("Whether annotators see them is not known.", "give --document-root, or --url of the server"),
    )

    def __init__(self, code: str, severity: Severity, what: str, why: str, remedy: str) -> None:
        self.code, self.severity, self.what, self.why, self.remedy = code, severity, what, why, remedy


@dataclass(frozen=True)
class Finding:
    """One problem.

    Attributes:
        kind: What kind of problem.
        task: The task's `pinpoint_id`, else its place in the list, else "".
        message: What is wrong, with what was found.
        file: The file, where the tasks come from one.
        remedy: What to do about it; by default the kind's.
    """

    kind: Code
    task: str
    message: str
    file: str = ""
    remedy: str = ""

    @property
    def code(self) -> str:
        """The stable code."""
        return self.kind.code

    @property
    def severity(self) -> Severity:
        """`info` does not count as a failure."""
        return self.kind.severity

    def to_json(self) -> dict[str, Any]:
        """All there is to say, JSON-ready."""
        return {
            "code": self.code,
            "severity": self.severity,
            "file": self.file,
            "task": self.task,
            "message": self.message,
            "remedy": self.remedy or self.kind.remedy,
        }

    def __str__(self) -> str:
        message = self.message if len(self.message) <= _SHOWN else self.message[:_SHOWN] + "..."
        line = ": ".join(filter(None, (f"{self.severity} {self.code}", self.file, self.task, message)))
        return one_line(f"{line} ({self.remedy or self.kind.remedy})")


def codes_table(codes: Iterable[Code] = Code) -> str:
    """A Markdown table of the codes."""
    head = ("code", "severity", "what", "what Label Studio does", "remedy")
    rows = [(f"`{c.code}`", c.severity, c.what, c.why, c.remedy) for c in codes]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ("---",) * len(head), *rows]) + "\n"
