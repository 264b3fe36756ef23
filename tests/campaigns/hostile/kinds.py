"""Every kind of case: which files, mutated how, and the commands that read them."""

from __future__ import annotations

from tests.campaigns.hostile import accounts, bases, bombs
from tests.campaigns.hostile.byte_mutations import mutate_bytes
from tests.campaigns.hostile.cases import Kind
from tests.campaigns.hostile.heavy_kinds import HEAVY
from tests.campaigns.hostile.json_mutations import mutate_json, mutate_lines
from tests.campaigns.hostile.table_mutations import mutate_table
from tests.campaigns.hostile.text_mutations import mutate_text

_INGEST = "ingest {} root --workspace ws --jobs 1 --json"
_LATER = (
    "words ws --jobs 1 --json",
    "propose ws --jobs 1 --json",
    "validate ws --json",
    "report ws report.html --json",
    "label-studio export ws tasks --prelabel gold:* --jobs 1 --json",
    "publish ws dataset --json",
)
_PEOPLE = (
    "validate ws --json",
    "agreement ws --resamples 50 --json",
    "adjudicate ws --json",
    "evaluate-proposals ws --json",
    "propose ws --jobs 1 --json",
    "report ws report.html --json",
)


def _source(name: str, reader: str, base: object, targets: dict[str, object], **more: object) -> Kind:
    command = more.pop("command", _INGEST.format(reader))
    return Kind(name, base, targets, (command,), _LATER, **more)  # type: ignore[arg-type]


LIGHT = (
    _source(
        "infovqa",
        "infovqa",
        bases.infographics,
        {"root/infographicsvqa_qas/*.json": mutate_json},
        bombs={"root/infographicsvqa_qas/*.json": bombs.JSONS},
        account=accounts.array("root/infographicsvqa_qas/*.json", "data"),
    ),
    _source(
        "spdocvqa",
        "spdocvqa",
        bases.letters,
        {"root/*.json": mutate_json},
        account=accounts.array("root/*.json", "data"),
    ),
    _source(
        "mpdocvqa",
        "mpdocvqa",
        bases.documents,
        {"root/question_answers/*.json": mutate_json},
        account=accounts.array("root/question_answers/*.json", "data"),
    ),
    _source(
        "mmdocir",
        "mmdocir",
        bases.reports,
        {"root/annotations.jsonl": mutate_lines},
        account=accounts.reports,
    ),
    _source(
        "mmlongbench list",
        "mmdocir",
        bases.reports,
        {"root/samples.json": mutate_json},
        command=f"{_INGEST.format('mmdocir')} --unanswerable",
        share=0.5,
    ),
    _source(
        "funsd",
        "funsd",
        bases.forms,
        {"root/training_data/annotations/*.json": mutate_json},
        account=accounts.forms,
    ),
    _source(
        "records",
        "records",
        bases.records,
        {"root/questions.jsonl": mutate_lines},
        bombs={"root/questions.jsonl": bombs.JSONS},
        account=accounts.lines("root/questions.jsonl"),
    ),
    _source(
        "records without images",
        "records",
        bases.records,
        {"root/questions.jsonl": mutate_lines},
        command=f"{_INGEST.format('records')} --without-images",
        account=accounts.lines("root/questions.jsonl"),
        share=0.5,
    ),
    _source(
        "evidence file",
        "infovqa",
        bases.infographics,
        {"gold.jsonl": mutate_lines},
        command=f"{_INGEST.format('infovqa')} --evidence gold.jsonl",
        account=accounts.evidence,
    ),
    _source(
        "mirror table",
        "huggingface",
        bases.mirror,
        {"root/*.parquet": mutate_table},
        bombs={"root/*.parquet": bombs.TABLES},
        account=accounts.rows,
    ),
    _source(
        "saved dataset",
        "huggingface",
        bases.saved_dataset,
        {"root/*.json": mutate_json, "root/*.arrow": mutate_bytes},
        share=0.5,
    ),
    _source(
        "image",
        "records",
        bases.scans,
        {"root/pages/*": mutate_bytes},
        bombs={"root/pages/*": bombs.IMAGES},
        account=accounts.lines("root/questions.jsonl"),
        share=1.5,
    ),
    _source(
        "pdf",
        "records",
        bases.papers,
        {"root/*.pdf": mutate_bytes},
        bombs={"root/*.pdf": bombs.PDFS},
        account=accounts.lines("root/questions.jsonl"),
        share=1.5,
    ),
    Kind(
        "pdf, all commands",
        bases.papers,
        {"root/*.pdf": mutate_bytes},
        (_INGEST.format("records"), "words ws --jobs 1 --json", "label-studio export ws tasks --jobs 1 --json"),
        bombs={"root/*.pdf": bombs.PDFS},
    ),
    Kind(
        "ocr file",
        bases.ocr,
        {"root/ocr/*.json": mutate_json},
        ("words ws --jobs 1 --json",),
        _LATER[1:],
        bombs={"root/ocr/*.json": bombs.JSONS},
        account=accounts.words,
        share=1.5,
    ),
    Kind(
        "export",
        bases.exported,
        {"export.json": mutate_json},
        ("label-studio import ws export.json --project p --json",),
        ("agreement ws --resamples 50 --json", "adjudicate ws --json", *_LATER[2:4], _LATER[5]),
        bombs={"export.json": bombs.JSONS},
        account=accounts.tasks,
        share=2.0,
    ),
    Kind(
        "names of annotators",
        bases.exported,
        {"names.csv": mutate_text, "names.json": mutate_json},
        (
            "label-studio import ws export.json --names names.csv --project p --json",
            "label-studio import ws export.json --names names.json --project q --json",
        ),
        share=0.5,
    ),
    Kind(
        "tasks",
        bases.exported,
        {"tasks.json": mutate_json},
        ("label-studio preflight tasks.json --document-root . --json",),
        bombs={"tasks.json": bombs.JSONS},
        account=accounts.looked_at,
    ),
    Kind(
        "task folder",
        bases.task_folder,
        {"tasks/*.json": mutate_json, "tasks/config.xml": mutate_text},
        ("label-studio preflight tasks --json", "label-studio export ws tasks --jobs 1 --json"),
        bombs={"tasks/config.xml": bombs.INTERFACES, "tasks/*.json": bombs.JSONS},
        share=0.5,
    ),
    Kind(
        "workspace table",
        bases.campaign,
        {
            f"ws/{table}/*.parquet": mutate_table
            for table in ("pages", "questions", "annotations", "words", "evidence", "verdicts")
        },
        ("validate ws --json", "agreement ws --resamples 50 --json", "adjudicate ws --json"),
        ("propose ws --jobs 1 --json", *_LATER[3:]),
        share=2.0,
    ),
    Kind(
        "table to report",
        bases.campaign,
        {f"ws/{table}/*.parquet": mutate_table for table in ("pages", "questions", "annotations", "verdicts")},
        ("report ws report.html --json",),
        ("evaluate-proposals ws --json",),
    ),
    Kind(
        "table to tasks",
        bases.campaign,
        {f"ws/{table}/*.parquet": mutate_table for table in ("pages", "questions", "annotations")},
        ("label-studio export ws tasks --prelabel proposal:* --jobs 1 --json",),
    ),
    Kind(
        "table to dataset",
        bases.campaign,
        {f"ws/{table}/*.parquet": mutate_table for table in ("pages", "questions", "annotations", "evidence")},
        ("publish ws dataset --json",),
        share=0.3,
    ),
    Kind(
        "table to words",
        bases.campaign,
        {"ws/words/*.parquet": mutate_table, "ws/pages/*.parquet": mutate_table},
        ("propose ws --jobs 1 --json", "validate ws --fix --json", "words ws --jobs 1 --json"),
    ),
    Kind(
        "workspace.json",
        bases.campaign,
        {"ws/workspace.json": mutate_json},
        ("validate ws --json", "report ws report.html --json"),
        _LATER,
        share=0.5,
    ),
    Kind(
        "revision",
        bases.revised,
        {
            "ws/files/revisions/**/*.parquet": mutate_table,
            "ws/files/revisions/**/revision.json": mutate_json,
            "ws/files/revisions/**/changes.jsonl": mutate_lines,
        },
        ("validate ws --undo-fix --json", "validate ws --json"),
        share=0.5,
    ),
    Kind(
        "decisions",
        bases.campaign,
        {"ws/files/adjudication/overlay.jsonl": mutate_lines},
        ("adjudicate ws --json", "report ws report.html --json"),
        account=accounts.decisions,
    ),
    Kind(
        "dataset folder",
        bases.published,
        {
            "dataset/pinpoint.json": mutate_json,
            "dataset/README.md": mutate_text,
            "dataset/*/*.parquet": mutate_table,
            "dataset/croissant.json": mutate_json,
        },
        ("windows dataset --grid patches --width 4 --height 4 --stride 4 --json",),
        ("join dataset --images . --out joined --json", "publish ws dataset --json"),
        bombs={"dataset/README.md": bombs.CARDS},
        share=0.5,
    ),
    Kind(
        "dataset to images",
        bases.published,
        {"dataset/pinpoint.json": mutate_json, "dataset/pages/*.parquet": mutate_table, "*.png": mutate_bytes},
        ("join dataset --images . --out joined --json",),
        share=0.3,
    ),
)

KINDS = {kind.name: kind for kind in (*LIGHT, *HEAVY)}
