"""The order in which solids are painted, from far to near.

Of two convex solids that overlap in the image, the one on the camera's side of a plane between them is nearer. These
pairs make a graph, and the order is the topological one that follows depth wherever the graph leaves a choice.
"""

from __future__ import annotations

import functools
import heapq

import numpy as np
from numpy.typing import NDArray

NEAR_M = 0.4
"""What is nearer to the camera is cut away."""

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def lowest(values: Array) -> Array:
    """The least along the first axis, which is short: many times as fast as `min`, which works along the others."""
    return functools.reduce(np.minimum, values)


def highest(values: Array) -> Array:
    """The greatest along the first axis."""
    return functools.reduce(np.maximum, values)


def painting_orders(boxes: Array, ends: list[int]) -> Index:
    """Far to near orders of the solids of several frames.

    Args:
        boxes: (3, 8, N) corners in camera axes, x fastest, then y, then z; frame after frame.
        ends: Where each frame's solids end among the N.

    Returns:
        (N,) positions; between the ends of two frames stand that frame's solids in painting order.
    """
    depth = boxes[2]
    near, far = lowest(depth), highest(depth)
    key = -(near + far)
    flat = boxes[:2] / np.maximum(depth, NEAR_M)
    low, high = lowest(flat.swapaxes(0, 1)), highest(flat.swapaxes(0, 1))
    # where the near plane cuts a box, it is somewhere between its corners' places on that plane
    behind = np.flatnonzero(near < NEAR_M)
    if len(behind):
        cut = boxes[:2, :, behind] / NEAR_M
        low[:, behind] = np.minimum(low[:, behind], cut.min(axis=1))
        high[:, behind] = np.maximum(high[:, behind], cut.max(axis=1))
    begins = [0, *ends[:-1]]
    pairs = [_overlapping(low[:, a:b], high[:, a:b], a) for a, b in zip(begins, ends, strict=True)]
    one, other = (np.concatenate(side) for side in zip(*pairs, strict=True))
    # sign > 0: `one` is nearer than `other`
    sign = np.where(far[one] <= near[other], 1, np.where(far[other] <= near[one], -1, 0))
    unclear = np.flatnonzero(sign == 0)
    if len(unclear):
        sign[unclear] = _nearer(boxes, one[unclear], other[unclear])
    decided = sign != 0
    first, second = np.where(sign > 0, other, one)[decided], np.where(sign > 0, one, other)[decided]
    cuts = np.searchsorted(one[decided], [*begins, len(key)]).tolist()
    orders = [
        a + _sorted(first[c:d] - a, second[c:d] - a, key[a:b])
        for a, b, c, d in zip(begins, ends, cuts, cuts[1:], strict=False)
    ]
    return np.concatenate(orders)


def _overlapping(low: Array, high: Array, offset: int) -> tuple[Index, Index]:
    """Pairs of boxes (2, S) that overlap in the image, the first of each pair ascending; `offset` is added to both."""
    below = (low[0][:, None] < high[0]) & (low[1][:, None] < high[1])
    one, other = np.nonzero(below & below.T)
    once = one < other
    return one[once] + offset, other[once] + offset


def _nearer(boxes: Array, a: Index, b: Index) -> Index:
    """+1 where box a is on the camera's side of a plane between a and b, −1 for b, 0 if there is none."""
    edges = boxes[:, [1, 2, 4]] - boxes[:, :1]
    axes = edges / np.maximum(np.sqrt((edges * edges).sum(axis=0)), 1e-9)
    # (3, S): the slab of each box along its own axes; the camera is the origin of these coordinates
    start, stop = ((axes * boxes[:, corner, None]).sum(axis=0) for corner in (0, 7))
    tolerance = 0.02

    def beyond(one: Index, other: Index) -> Index:
        score = np.zeros(len(one), np.int64)
        points = boxes[:, :, other]
        for axis in range(3):
            direction, begin, end = axes[:, axis, one], start[axis, one], stop[axis, one]
            along = direction[0] * points[0] + direction[1] * points[1] + direction[2] * points[2]
            above = lowest(along) >= end - tolerance
            below = highest(along) <= begin + tolerance
            # the camera beyond the same face as the other box: that one is nearer
            score += np.where(above, np.where(end < 0, -1, 1), 0) + np.where(below, np.where(begin > 0, -1, 1), 0)
        return np.sign(score)

    return np.sign(beyond(a, b) - beyond(b, a))


def _sorted(first: Index, second: Index, key: Array) -> Index:
    """Order in which `first[i]` stands before `second[i]`, else by `key`; a cycle is cut at its least key.

    It is the topological order in which each place goes to the least key that is free to take it. Most solids stand
    in order of their keys anyway. Only those that have to wait for one with a greater key, directly or through others,
    can move, so only they are looked at one by one.
    """
    count = len(key)
    by_key = np.argsort(key, kind="stable")
    rank = np.empty(count, np.int64)
    rank[by_key] = np.arange(count)
    first, second = rank[first], rank[second]
    held_up = second[first > second]
    if not len(held_up):
        return by_key
    late = np.zeros(count, bool)
    while len(held_up):
        late[held_up] = True
        held_up = second[late[first]]
        held_up = held_up[~late[held_up]]
    early = np.flatnonzero(~late).tolist()
    # early ones come in order, so a late one waits for the last of those before it, and for other late ones
    before = late[second] & ~late[first]
    awaited = np.full(count, -1)
    np.maximum.at(awaited, second[before], first[before])
    among = late[first]
    waiting = np.bincount(second[among], minlength=count)
    waiting += awaited >= 0
    waits = waiting.tolist()
    after: dict[int, list[int]] = {}
    for one, other in zip(first[among].tolist(), second[among].tolist(), strict=True):
        after.setdefault(one, []).append(other)
    held = np.flatnonzero(awaited >= 0)
    for one, other in zip(awaited[held].tolist(), held.tolist(), strict=True):
        after.setdefault(one, []).append(other)
    left = np.flatnonzero(late)[::-1].tolist()
    early.reverse()
    ready: list[int] = []
    done: set[int] = set()
    order: list[int] = []
    while len(order) < count:
        if ready and (not early or ready[0] < early[-1]):
            n = heapq.heappop(ready)
        elif early:
            n = early.pop()
        else:
            # a cycle
            n = left.pop()
        if n in done:
            continue
        done.add(n)
        order.append(n)
        for other in after.get(n, ()):
            waits[other] -= 1
            if not waits[other] and other not in done:
                heapq.heappush(ready, other)
    return by_key[order]
