"""Documents that belong together, and which of them are held out.

Two sources may hold one document under different names, a page alone in one and the whole file in the other. Whatever
shares a page file is one group, and a group is never learnt from and scored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from loaders.samples import Sample
from training.pages.store import PageStore


def document_groups(samples: Iterable[Sample], store: PageStore) -> dict[str, str]:
    """The group of each document of the samples: the least name among the documents that share its page files.

    Raises:
        TrainingError: A page is not in the workspace.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    documents = set()
    for sample in samples:
        documents.add(sample.doc_id)
        for page in sample.pages:
            row = store.row(page.page_id)
            ours, theirs = root(f"doc {sample.doc_id}"), root(f"page {row['sha256'] or page.page_id} {row['pdf_page']}")
            parent[theirs] = ours
    members: dict[str, list[str]] = {}
    for document in documents:
        members.setdefault(root(f"doc {document}"), []).append(document)
    return {document: min(group) for group in members.values() for document in group}


def fold_of(groups: Mapping[str, str], sources: Mapping[str, str], folds: int, seed: int) -> dict[str, int]:
    """Which of `folds` parts each document is in; the groups of a source are dealt out evenly, in hashed order.

    Args:
        groups: Group of each document.
        sources: Source of each document; a group is dealt with the first source, by name, that has it.
        folds: How many parts.
        seed: Of the order.
    """
    owner: dict[str, str] = {}
    for document, source in sources.items():
        group = groups[document]
        owner[group] = min(owner.get(group, source), source)
    dealt: dict[str, int] = {}
    for source in sorted(set(owner.values())):
        own = sorted((group for group, of in owner.items() if of == source), key=lambda group: _order(group, seed))
        dealt |= {group: place % folds for place, group in enumerate(own)}
    return {document: dealt[group] for document, group in groups.items()}


def _order(group: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\x1f{group}".encode("utf-8", "surrogatepass")).digest()
