"""Rectangles around a mask: nothing selected is lost, little else is taken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from training.selection.regions import connected_components, cover_rectangles

MASKS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(MASKS)
@settings(max_examples=100, deadline=None)
def test_components_are_those_of_label_propagation(mask):
    labels = _propagate(mask)
    components = connected_components(mask)
    assert len(components) == len(np.unique(labels[mask]))
    for component in components:
        (label,) = np.unique(labels[component])
        assert np.array_equal(component, labels == label)


def _propagate(mask):
    """Every token takes the least label beside it until nothing changes."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    for _ in range(mask.size):
        for axis in (0, 1):
            for step in (1, -1):
                beside = np.roll(labels, step, axis)
                beside[(slice(None),) * axis + (0 if step == 1 else -1,)] = 0
                labels = np.where((labels > 0) & (beside > 0), np.minimum(labels, beside), labels)
    return labels


@given(MASKS, st.sampled_from([0.0, 0.15, 0.5]))
@settings(max_examples=150, deadline=None)
def test_rectangles_hold_the_whole_mask_once_and_waste_little(mask, max_waste):
    cover = np.zeros(mask.shape, dtype=int)
    for r0, c0, r1, c1 in cover_rectangles(mask, max_waste):
        assert mask[r0:r1, c0:c1].mean() >= 1 - max_waste
        cover[r0:r1, c0:c1] += 1
    assert cover.max(initial=0) <= 1
    assert (cover[mask] == 1).all()
    if max_waste == 0:
        assert (cover[~mask] == 0).all()


@pytest.mark.parametrize(
    ("picture", "max_waste", "expected"),
    [
        (["###", "###"], 0.15, [(0, 0, 2, 3)]),
        (["###.", "###.", "####"], 0.2, [(0, 0, 3, 4)]),  # two of twelve are wasted
        (["###.", "###.", "####"], 0.0, [(0, 0, 2, 3), (2, 0, 3, 4)]),
        (["##..", "##..", "..##"], 0.15, [(0, 0, 2, 2), (2, 2, 3, 4)]),
        (["...", "..."], 0.15, []),
    ],
)
def test_rectangles_by_hand(picture, max_waste, expected):
    mask = np.array([[c == "#" for c in row] for row in picture])
    assert cover_rectangles(mask, max_waste).tolist() == [list(box) for box in expected]
