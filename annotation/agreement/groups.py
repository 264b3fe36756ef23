"""Groups of boxes that mean the same place: at most one box of each annotator.

Boxes of different annotators with IoU >= t are linked. A linked set in which everybody is linked to everybody is one
group. A linked set of two annotators is split by the best assignment. Any other is built up by average linkage: the
two groups with the largest mean IoU between their boxes are joined, as long as that mean is >= t and no annotator is
in both. Equal means are decided by the boxes themselves (page order of coordinates), never by the order of rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from annotation.agreement.assignment import best_assignment
from annotation.agreement.overlaps import Overlaps

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def group_boxes(xyxy: FloatArray, owner: IntArray, overlaps: Overlaps, threshold: float) -> IntArray:
    """The group of each box.

    Args:
        xyxy: (n, 4) boxes.
        owner: (n,) who drew each.
        overlaps: What `find_overlaps` found among them.
        threshold: IoU from which two boxes are linked.

    Returns:
        (n,) group numbers 0, 1, ...; a box without a partner is a group of its own.
    """
    links = overlaps.at(threshold)
    group = _components(len(xyxy), links)
    size = np.bincount(group, minlength=len(xyxy))
    edges = np.bincount(group[links.first], minlength=len(xyxy))
    # Links join different annotators only: a set with all of them has no annotator twice.
    mixed = edges < size * (size - 1) // 2
    members = np.flatnonzero(mixed[group])
    if not len(members):
        return _renumbered(group)
    members = members[np.argsort(group[members], kind="stable")]
    loose = np.flatnonzero(mixed[group[links.first]])
    loose = loose[np.argsort(group[links.first[loose]], kind="stable")]
    boxes = np.split(members, np.flatnonzero(np.diff(group[members])) + 1)
    joints = np.split(loose, np.flatnonzero(np.diff(group[links.first[loose]])) + 1)
    # Average linkage looks at every overlap, not only at those above the threshold.
    weak = _weights_by_component(overlaps, group, mixed)
    for nodes, joint in zip(boxes, joints, strict=True):
        component = int(group[nodes[0]])
        nodes = nodes[np.lexsort([owner[nodes], *xyxy[nodes].T[::-1]])]
        people = np.unique(owner[nodes])
        if len(people) == 2:
            labels = _by_assignment(nodes, owner, links, joint)
        else:
            labels = _by_linkage(nodes, owner, overlaps, weak[component], threshold)
        group[nodes] = labels
    return _renumbered(group)


def _components(count: int, links: Overlaps) -> IntArray:
    """(count,) the smallest box that each box is connected with."""
    label = np.arange(count)
    while True:
        low = np.minimum(label[links.first], label[links.second])
        before = label.copy()
        np.minimum.at(label, links.first, low)
        np.minimum.at(label, links.second, low)
        label = label[label]
        if (label == before).all():
            return label


def _weights_by_component(overlaps: Overlaps, group: IntArray, mixed: NDArray[np.bool_]) -> dict[int, IntArray]:
    inside = np.flatnonzero((group[overlaps.first] == group[overlaps.second]) & mixed[group[overlaps.first]])
    inside = inside[np.argsort(group[overlaps.first[inside]], kind="stable")]
    runs = np.split(inside, np.flatnonzero(np.diff(group[overlaps.first[inside]])) + 1)
    return {int(group[overlaps.first[run[0]]]): run for run in runs}


def _matrix(nodes: IntArray, overlaps: Overlaps, edges: IntArray) -> FloatArray:
    """(n, n) IoU of the nodes, symmetric, from some of the overlaps."""
    order = np.argsort(nodes)
    a = order[np.searchsorted(nodes[order], overlaps.first[edges])]
    b = order[np.searchsorted(nodes[order], overlaps.second[edges])]
    iou = np.zeros((len(nodes), len(nodes)))
    iou[a, b] = iou[b, a] = overlaps.iou[edges]
    return iou


def _by_assignment(nodes: IntArray, owner: IntArray, links: Overlaps, joint: IntArray) -> IntArray:
    """(n,) the group of each node, named by one of its boxes."""
    iou = _matrix(nodes, links, joint)
    mine = owner[nodes] == owner[nodes].min()
    labels = nodes.copy()
    for a, b in best_assignment(iou[mine][:, ~mine]):
        labels[np.flatnonzero(~mine)[b]] = nodes[mine][a]
    return labels


def _by_linkage(nodes: IntArray, owner: IntArray, overlaps: Overlaps, edges: IntArray, threshold: float) -> IntArray:
    """(n,) the group of each node, named by one of its boxes."""
    total = _matrix(nodes, overlaps, edges)
    # Two groups that share an annotator are never joined; a group and itself share all.
    apart = owner[nodes][:, None] == owner[nodes]
    mean = np.where(apart, 0, total)
    size, labels = np.ones(len(nodes)), np.arange(len(nodes))
    while True:
        a, b = np.unravel_index(np.argmax(mean), mean.shape)
        if mean[a, b] < threshold:
            return nodes[labels]
        labels[labels == b] = a
        total[a] += total[b]
        total[:, a] = total[a]
        size[a] += size[b]
        apart[a] |= apart[b]
        apart[:, a] = apart[a]
        mean[a] = np.where(apart[a], 0, total[a] / (size[a] * size))
        mean[:, a] = mean[a]
        apart[b] = apart[:, b] = True
        mean[b] = mean[:, b] = 0


def _renumbered(group: IntArray) -> IntArray:
    _, numbers = np.unique(group, return_inverse=True)
    renumbered: IntArray = numbers.reshape(-1).astype(np.int64)
    return renumbered
