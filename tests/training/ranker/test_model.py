"""The network without torch, and the file it is kept in."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from pinpoint_data.errors import TrainingError, UsageError
from tests.training.ranker.build import random_ranker, read
from training.ranker import model
from training.ranker.card import card_text
from training.ranker.features import FEATURES, token_features
from training.ranker.fit import Network
from training.ranker.model import CUT, RANKER_FILE, Ranker, _levelled, page_key, ranker_names

PAGE = [("Total:", (1, 1, 3, 2)), ("1,204", (3.5, 1, 5, 2)), ("sales", (1, 5, 3, 6))]


def torch_logits(ranker: Ranker, features: np.ndarray) -> np.ndarray:
    """The mean of the members' scores by the network that is trained."""
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in ranker.tensors.items()}
    members, hidden, width = tensors["first.weight"].shape
    standard = torch.clamp((torch.from_numpy(features) - tensors["mean"]) / tensors["scale"], -CUT, CUT)
    scores = []
    for member in range(members):
        network = Network(width, hidden, dropout=0.5).eval()
        state = {name: tensors[name][member] for name in network.state_dict()}
        state["last.weight"], state["last.bias"] = state["last.weight"][None], state["last.bias"][None]
        network.load_state_dict(state)
        scores.append(network(standard))
    return torch.stack(scores).mean(dim=0).detach().numpy()


class TestScores:
    @pytest.mark.parametrize("members", [1, 3])
    def test_are_those_of_the_network_that_is_trained(self, members):
        ranker = random_ranker(members=members, hidden=9)
        features = np.random.default_rng(5).normal(0, 3, (40, len(FEATURES))).astype(np.float32)
        assert ranker.logits(features) == pytest.approx(torch_logits(ranker, features), abs=1e-5)

    def test_shares_of_all_pages_sum_to_one(self):
        pages = [read(PAGE), read(rows=3, cols=4)]
        shares = random_ranker().shares(pages, "total sales")
        assert [len(share) for share in shares] == [140, 12]
        assert sum(share.sum() for share in shares) == pytest.approx(1) and min(share.min() for share in shares) > 0

    def test_shares_are_the_softmax_of_the_scores_smoothed_a_little(self):
        ranker, pages = random_ranker(), [read(PAGE), read(rows=3, cols=4)]
        features = list(token_features(pages, "total"))
        scores = np.concatenate([ranker.logits(found) for found in features]).astype(float)
        by_hand = np.split(np.array([1 / sum(np.exp(other - score) for other in scores) for score in scores]), [140])
        shapes = [(10, 14), (3, 4)]
        plain = ranker.shares_of(features, shapes, smoothing=0, levelling=0)
        assert np.concatenate(plain) == pytest.approx(np.concatenate(by_hand))
        smoothed = ranker.shares_of(features, shapes, levelling=0)
        for own, given, (rows, cols) in zip(smoothed, by_hand, shapes, strict=True):
            grid = given.reshape(rows, cols)
            for row in range(rows):
                for col in range(cols):
                    around = [
                        grid[min(max(r, 0), rows - 1), min(max(c, 0), cols - 1)]
                        for r in range(row - 1, row + 2)
                        for c in range(col - 1, col + 2)
                    ]
                    expected = 0.7 * grid[row, col] + 0.3 * sum(around) / 9
                    assert own.reshape(rows, cols)[row, col] == pytest.approx(expected)

    @pytest.mark.parametrize(("count", "power"), [(1, 1), (2, 4 / 12), (5, 25 / 33), (40, 1600 / 1608)])
    def test_the_fewer_the_pages_the_nearer_are_their_sums(self, count, power):
        ranker = random_ranker()
        pages = [read([("total", (1, 1, 3, 2))] * (index % 4), rows=2 + index % 3, cols=5) for index in range(count)]
        features, shapes = list(token_features(pages, "total")), [(page.grid.rows, page.grid.cols) for page in pages]
        plain = ranker.shares_of(features, shapes, smoothing=0, levelling=0)
        levelled = ranker.shares(pages, "total")
        sums = [sum(page.tolist()) for page in plain]
        total = sum(own**power for own in sums)
        assert [page.sum() for page in levelled] == pytest.approx([own**power / total for own in sums])
        assert sum(page.sum() for page in levelled) == pytest.approx(1)
        for before, after in zip(plain, ranker.shares_of(features, shapes, smoothing=0), strict=True):
            assert after / after.sum() == pytest.approx(before / before.sum())

    def test_a_page_of_no_expectation_keeps_none(self):
        shares = _levelled([np.array([0.25, 0.75]), np.zeros(3)], 8.0)
        assert [page.tolist() for page in shares] == [[0.25, 0.75], [0, 0, 0]]

    @pytest.mark.parametrize("constant", [-300, 1000])
    def test_shares_do_not_change_with_a_constant(self, constant):
        ranker, pages = random_ranker(), [read(PAGE)]
        moved = Ranker("moved", {**ranker.tensors, "last.bias": ranker.tensors["last.bias"] + np.float32(constant)}, {})
        assert moved.shares(pages, "total")[0] == pytest.approx(ranker.shares(pages, "total")[0], rel=1e-3)

    def test_size(self):
        ranker, width = random_ranker(members=2, hidden=5), len(FEATURES)
        assert ranker.members == 2
        assert ranker.parameters == 2 * (5 * width + 5 + 5 + 5 + 5 * 5 + 5 + 5 + 1)
        assert ranker.flops_per_token == 2 * 2 * (5 * width + 25 + 5)


class TestFile:
    @pytest.fixture()
    def file(self, tmp_path):
        random_ranker(questions={"forms": 3}).save(tmp_path / "mine.safetensors")
        return tmp_path / "mine.safetensors"

    def refused(self, file) -> str:
        with pytest.raises(TrainingError) as caught:
            Ranker.load(file)
        assert Path(str(caught.value.file)) == file and "\n" not in str(caught.value)
        return str(caught.value)

    def rewrite(self, file, tensors=None, **changes):
        """Write the file again with other content, under its old hash."""
        old = file.read_bytes()
        size = struct.unpack("<Q", old[:8])[0]
        head = json.loads(json.loads(old[8 : 8 + size])["__metadata__"]["pinpoint"]) | changes
        ranker = Ranker.load(file)
        save_file({**ranker.tensors, **(tensors or {})}, file, metadata={"pinpoint": json.dumps(head)})

    def test_it_comes_back_as_it_was(self, file, tmp_path):
        ranker, loaded = random_ranker(questions={"forms": 3}), Ranker.load(file)
        assert loaded.name == "mine" and loaded.facts == {"questions": {"forms": 3}}
        assert loaded.tensors.keys() == ranker.tensors.keys()
        assert all(np.array_equal(loaded.tensors[name], value) for name, value in ranker.tensors.items())
        assert loaded.fingerprint == ranker.fingerprint != random_ranker(questions={"forms": 4}).fingerprint
        loaded.save(tmp_path / "again.safetensors")
        assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()

    def test_a_folder_is_named_by_itself(self, tmp_path):
        random_ranker().save(tmp_path / "folder" / RANKER_FILE)
        assert Ranker.load(tmp_path / "folder").name == "folder"
        assert Ranker.load(str(tmp_path / "folder")).name == "folder"

    def test_any_altered_byte_is_found(self, file):
        whole = file.read_bytes()
        size = 8 + struct.unpack("<Q", whole[:8])[0]
        rng = np.random.default_rng(0)
        heads, weights = rng.choice(size, 20, replace=False), rng.choice(np.arange(size, len(whole)), 20, replace=False)
        for place in [*heads, *weights, size, len(whole) - 1]:
            altered = bytearray(whole)
            altered[place] ^= 1
            file.write_bytes(altered)
            try:
                same = Ranker.load(file)
            except TrainingError as error:
                assert "\n" not in str(error)
            else:  # only where the byte says nothing: spaces that fill up the head
                assert (
                    whole[place : place + 1] == b" "
                    and same.fingerprint == random_ranker(questions={"forms": 3}).fingerprint
                )
            if place >= size:
                self.refused(file)

    @pytest.mark.parametrize("keep", [0, 5, 8, 100, -1])
    def test_a_truncated_file(self, file, keep):
        file.write_bytes(file.read_bytes()[:keep])
        assert "is no readable safetensors file" in self.refused(file)

    def test_a_pickle_is_not_opened(self, file):
        class Bomb:
            def __reduce__(self):
                return exec, ("raise SystemExit('a ranker must never run code')",)

        file.write_bytes(pickle.dumps(Bomb()))
        assert "is no readable safetensors file" in self.refused(file)

    def test_another_kind_of_file(self, file):
        save_file({"x": np.zeros(3, np.float32)}, file)
        assert "is no ranker" in self.refused(file) and "pinpoint ranker train" in self.refused(file)
        for metadata in ("null", "[]", '{"kind": "another"}'):
            save_file({"x": np.zeros(3, np.float32)}, file, metadata={"pinpoint": metadata})
            assert "is no ranker" in self.refused(file)
        save_file({"x": np.zeros(3, np.float32)}, file, metadata={"pinpoint": "{"})
        assert "is no readable" in self.refused(file)

    def test_other_features(self, file):
        self.rewrite(file, features="0123456789abcdef")
        assert "other features" in self.refused(file)

    def test_altered_facts(self, file):
        self.rewrite(file, facts={"questions": {"forms": 4}})
        assert "does not match the hash" in self.refused(file)

    @pytest.mark.parametrize(
        "facts",
        [
            None,
            [],
            {"questions": {"forms": "many"}},
            {"documents": {"train": -1}},
            {"licence": 3},
            {"pages": [["a"]]},
            {"settings": {"epochs": {}}},
            {"folds": True},
        ],
    )
    def test_facts_of_another_kind_under_their_own_hash(self, file, facts):
        head = model._head({})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model, "_head", lambda given: head | {"facts": facts})
            random_ranker().save(file)
        assert "records of its training is unreadable" in self.refused(file)

    def test_what_a_stranger_wrote_is_shown_without_terminal_escapes(self, file):
        random_ranker(licence="Free\x1b[31m: all", questions={"a\nb": 1}, program="p\x1b[0m").save(file)
        loaded = Ranker.load(file)
        assert loaded.license == "Free\\x1b[31m"
        assert "\x1b" not in card_text(loaded) and "| a b | 1 |" in card_text(loaded)

    def test_a_weight_that_is_no_number(self, file):
        weight = np.array(random_ranker().tensors["last.bias"])
        weight[0] = np.nan
        self.rewrite(file, {"last.bias": weight})
        assert "no finite float32" in self.refused(file)

    @pytest.mark.parametrize(("name", "value"), [("scale", 0), ("scale", -1), ("first.weight", 3e38), ("mean", -1e30)])
    def test_a_weight_that_scores_would_overflow_with(self, file, name, value):
        self.rewrite(file, {name: np.full_like(random_ranker().tensors[name], value)})
        assert "no training gives" in self.refused(file)

    def test_weights_of_a_type_that_numpy_does_not_have(self, file):
        metadata = {"pinpoint": json.dumps({"kind": "pinpoint-ranker"})}
        head = {"__metadata__": metadata, "x": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}
        written = json.dumps(head).encode()
        file.write_bytes(struct.pack("<Q", len(written)) + written + bytes(4))
        assert "is no readable safetensors file" in self.refused(file)

    @pytest.mark.parametrize("metadata", ["[" * 100_000, '{"kind": ' * 100_000, "1" * 10_000])
    def test_metadata_without_end(self, file, metadata):
        save_file({"x": np.zeros(3, np.float32)}, file, metadata={"pinpoint": metadata})
        assert "is no readable safetensors file" in self.refused(file)

    @pytest.mark.parametrize("facts", [{"settings": {"epochs": float("nan")}}, {"other": [float("inf")]}])
    def test_facts_that_json_has_no_number_for(self, file, facts):
        random_ranker(**facts).save(file)
        assert "not JSON compliant" in self.refused(file)

    def test_weights_of_another_type(self, file):
        self.rewrite(file, {"last.bias": np.zeros(2, np.float64)})
        assert "no finite float32" in self.refused(file)

    @pytest.mark.parametrize(
        "tensors",
        [
            {"last.bias": np.zeros(3, np.float32)},
            {"mean": np.zeros(len(FEATURES) + 1, np.float32)},
            {"second.weight": np.zeros((2, 5, 4), np.float32)},
            {"first.weight": np.zeros((2, 5), np.float32)},
            {"another": np.zeros(1, np.float32)},
        ],
        ids=lambda tensors: next(iter(tensors)),
    )
    def test_tensors_of_another_shape(self, file, tensors):
        self.rewrite(file, tensors)
        assert "not those of a ranker" in self.refused(file)

    def test_what_is_not_there(self, tmp_path):
        for missing in (tmp_path / "none", tmp_path, "no-such-ranker"):
            with pytest.raises(UsageError) as caught:
                Ranker.load(missing)
            assert str(missing) in str(caught.value) and "pinpoint ranker train" in str(caught.value)


def test_every_shipped_ranker_loads_and_fits_the_features():
    for name in ranker_names():
        ranker = Ranker.load(name)
        assert ranker.name == name and len(ranker.tensors["mean"]) == len(FEATURES)


class TestLearntPages:
    def row(self, **changes):
        return {"page_id": "a/1", "sha256": "0123456789abcdef" * 4, "pdf_page": None} | changes

    def test_are_known_by_their_bytes_and_number(self):
        assert page_key(self.row()) == "0123456789ab"
        assert page_key(self.row(pdf_page=3)) == "0123456789ab#3"
        ranker = random_ranker(pages=[page_key(self.row(pdf_page=3))])
        assert ranker.has_learnt(self.row(page_id="b/2", pdf_page=3))
        assert not ranker.has_learnt(self.row()) and not ranker.has_learnt(self.row(pdf_page=0))
        assert not random_ranker().has_learnt(self.row())

    def test_without_a_hash_by_their_id(self):
        ranker = random_ranker(pages=[page_key(self.row(sha256=None))])
        assert ranker.has_learnt(self.row(sha256=None)) and not ranker.has_learnt(self.row(sha256=None, page_id="a/2"))
