"""Documents that share a page file stay together, in folds as even as that allows."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from loaders.samples import PageRef, Sample
from tests.domain.strategies import quick
from training.ranker.groups import document_groups, fold_of


class Store:
    """Pages by id, `file` or `file#number`; a file without a name has no hash."""

    def row(self, page_id):
        _, _, rest = page_id.partition("/")
        file, _, number = rest.partition("#")
        return {"page_id": page_id, "sha256": file or None, "pdf_page": int(number) if number else None}


def asked(document, *pages):
    refs = tuple(PageRef(page, index, 10, 10, None) for index, page in enumerate(pages))
    return Sample(f"q/{document}/{pages}", document.split("/")[0], "train", document, "?", (), "evidence", refs, ())


def groups(*samples):
    return document_groups(samples, Store())


class TestGroups:
    def test_a_page_alone_and_the_whole_file(self):
        found = groups(asked("a/1", "a/f#0"), asked("b/1", "b/f#0", "b/f#1"), asked("b/2", "b/g#0"))
        assert found == {"a/1": "a/1", "b/1": "a/1", "b/2": "b/2"}

    def test_chains(self):
        found = groups(asked("c/3", "c/x", "c/y"), asked("a/1", "a/x"), asked("b/2", "b/y", "b/z"), asked("d/4", "d/z"))
        assert set(found.values()) == {"a/1"}

    def test_another_page_of_the_file_is_no_shared_page(self):
        assert groups(asked("a/1", "a/f#0"), asked("b/1", "b/f#1")) == {"a/1": "a/1", "b/1": "b/1"}

    def test_questions_of_a_document_are_together(self):
        assert set(groups(asked("a/1", "a/x"), asked("a/1", "a/y"), asked("b/1", "b/y")).values()) == {"a/1"}

    def test_pages_without_a_hash_are_only_themselves(self):
        assert groups(asked("a/1", "a/"), asked("b/1", "b/"), asked("c/1", "a/")) == {
            "a/1": "a/1",
            "b/1": "b/1",
            "c/1": "a/1",
        }

    @quick
    @given(st.lists(st.tuples(st.integers(0, 6), st.lists(st.integers(0, 9), max_size=3)), max_size=10))
    def test_are_the_connected_parts(self, drawn):
        samples = [asked(f"s/{document}", *(f"s/f{page}" for page in pages)) for document, pages in drawn]
        found = groups(*samples)
        pages_of: dict[str, set[str]] = {}
        for sample in samples:
            pages_of.setdefault(sample.doc_id, set()).update(page.page_id for page in sample.pages)
        for document, pages in pages_of.items():
            reached, before = {document}, set()
            while reached != before:
                before = set(reached)
                shared = set().union(*(pages_of[name] for name in reached))
                reached |= {name for name, own in pages_of.items() if own & shared}
            assert found[document] == min(reached), pages


class TestFolds:
    def test_of_each_source_are_even(self):
        names = {f"{source}/{n}": f"{source}" for source, count in (("a", 23), ("b", 7)) for n in range(count)}
        dealt = fold_of({name: name for name in names}, names, 5, seed=0)
        for source, least in (("a", 4), ("b", 1)):
            counts = Counter(dealt[name] for name in names if names[name] == source)
            assert set(counts) == set(range(5)) and set(counts.values()) == {least, least + 1}

    def test_a_group_is_in_one(self):
        names = {f"{source}/{n}": source for source in "ab" for n in range(20)}
        together = {name: f"a/{name.split('/')[1]}" for name in names}
        dealt = fold_of(together, names, 3, seed=1)
        assert all(dealt[f"a/{n}"] == dealt[f"b/{n}"] for n in range(20)) and set(dealt.values()) == {0, 1, 2}

    def test_depend_on_names_and_seed_alone(self):
        names = {f"a/{n}": "a" for n in range(30)}
        alone = {name: name for name in names}
        backward = {name: name for name in reversed(names)}
        assert fold_of(alone, names, 4, 0) == fold_of(backward, dict(reversed(names.items())), 4, 0)
        assert fold_of(alone, names, 4, 0) != fold_of(alone, names, 4, 1)
        # Another generator would silently hold out what published rankers have learnt from.
        assert [fold_of(alone, names, 4, 0)[f"a/{n}"] for n in range(8)] == [0, 2, 0, 1, 2, 1, 0, 1]

    def test_names_with_lone_surrogates_are_dealt_too(self):
        assert fold_of({"a/\ud800": "a/\ud800"}, {"a/\ud800": "a"}, 2, 0) == {"a/\ud800": 0}

    def test_one_fold_has_all(self):
        assert set(fold_of({"a/1": "a/1", "a/2": "a/2"}, {"a/1": "a", "a/2": "a"}, 1, 0).values()) == {0}
