"""A small workspace whose pages have hashes: four documents of one page, one of two, with and without gold boxes."""

from __future__ import annotations

from pathlib import Path

from pinpoint_data.workspace import Workspace
from tests.loaders.build import page, picture, question, regions, write_part

NAMES = ("alpha", "bravo", "charlie", "delta")
DOCUMENTS = (*(f"forms/{name}" for name in NAMES), "books/b")


def fill_forms(folder: Path) -> Workspace:
    """`forms`: four documents of one page, two questions each, half of them without gold; `books`: one of two pages."""
    ws = Workspace.create(folder / "ws")
    for name in ("forms", "books"):
        ws.register_source(name, "records", folder)
    pages, asked, gold = [], [], []
    for place, name in enumerate(NAMES):
        data = picture(120, 80, 10 * place)
        (folder / f"{name}.png").write_bytes(data)
        id_ = f"forms/{name}"
        pages.append(page(id_, f"{name}.png", data, doc_id=id_))
        for text, answers in (("sum", ["42", "forty-two"]), ("colour", ["Dark red"])):
            asked.append(question(f"{id_}-{text}", "train", [id_], doc_id=id_, question=f"{text}?", answers=answers))
        gold += regions(f"{id_}-sum", [(1.0, 1.0, 30.0, 20.0)])
    rest = {"doc_id": "forms/alpha"}
    asked.append(question("forms/unasked", "train", ["forms/alpha"], answers=[], **rest))
    asked.append(question("forms/wrong", "train", ["forms/alpha"], **rest))
    gold += regions("forms/wrong", [], status="wrong_answer")
    write_part(ws, "forms-train", pages, asked, gold)
    leaves = []
    for index in range(2):
        data = picture(120, 80, 100 + index)
        (folder / f"leaf{index}.png").write_bytes(data)
        leaves.append(page(f"books/p{index}", f"leaf{index}.png", data, doc_id="books/b"))
    ids = [leaf["page_id"] for leaf in leaves]
    write_part(ws, "books-test", leaves, [question("books/1", "test", ids, doc_id="books/b", answers=["Yes"])], [])
    return ws
