"""Fix what a formula leaves open, so that the same law always gets the same constants.

Between two layers a scale and a shift can be moved without changing the network: constants `d` pass
through a sum node into the `b` of what follows, a factor of all `c` before a node into the `a`
behind it. And a primitive may trade its own constants: `exp(a x + b) = e^b exp(a x)`. Here they are
moved to one place each, and those that became 0 or 1 on the way are no longer trained.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from edgewise._layer import KANLayer, Lock
from edgewise._network import KAN, Nodes

A, B, C, D = range(4)
_STEEP = 100.0


@torch.no_grad()
def fix_gauge(model: KAN) -> KAN:
    """Copy a network, with the constants of locked edges in their canonical form."""
    model = copy.deepcopy(model)
    parts = model.parts()
    for layer, _ in parts:
        for _, lock in layer.locked():
            fix_primitive(lock)
    for (layer, nodes), (following, _) in zip(parts[:-1], parts[1:], strict=True):
        for node in range(len(nodes)):
            _fix_node(layer, nodes, following, node)
        for _, lock in following.locked():
            fix_primitive(lock)
    layer, nodes = parts[-1]
    for output in range(len(nodes)):
        sums = nodes.sums_of(output)
        for j in sums:
            _gather_shifts(layer, j)
        for j in sums[:-1]:  # the scales of a product's factors belong to the last
            _scale_sum(layer, sums[-1], _normalize(layer, j))
    return model


def fix_primitive(lock: Lock) -> None:
    """Move redundant constants of one lock to `c` and `d`, in place."""
    a, b, c, d = lock.constants.tolist()
    primitive = lock.primitive
    if a == 0:
        return
    match primitive.gauge:
        case "linear":
            a, b, c, d = 1.0, 0.0, c * a, d + c * b
            lock.free[[A, B]] = False
        case "power":
            a, b, c = math.copysign(1.0, a), b / abs(a), c * abs(a) ** primitive.degree
            lock.free[A] = False
        case "exp" if abs(b) > _STEEP:  # e^b may not be a number: c goes into b
            if c != 0:
                b, c = b + math.log(abs(c)), math.copysign(1.0, c)
                lock.free[C] = False
        case "exp":
            if b != 0:
                lock.free[C] = True
            b, c = 0.0, c * math.exp(b)
            lock.free[B] = False
        case "log":
            a, b, d = math.copysign(1.0, a), b / abs(a), d + c * math.log(abs(a))
            lock.free[A] = False
        case _:
            pass
    parity = primitive.parity
    if a < 0 and parity:
        a, b, c = -a, -b, parity * c
    if primitive.gauge in ("sine", "cosine"):
        half_turns = round(b / math.pi)
        b, c = b - half_turns * math.pi, c * (-1) ** half_turns
    lock.constants.copy_(lock.constants.new_tensor([a, b, c, d]))


def _fix_node(layer: KANLayer, nodes: Nodes, following: KANLayer, node: int) -> None:
    """Move shifts and scales of one hidden node to the edges that leave it."""
    outgoing = [lock for (_, i), lock in following.locked() if i == node]
    if not outgoing or bool(following.mask[:, node].any()):
        for j in nodes.sums_of(node):
            _gather_shifts(layer, j)
        return  # a spline behind the node cannot be rescaled
    sums = nodes.sums_of(node)
    if len(sums) == 1:
        shift = _take_shift(layer, sums[0])
        for lock in outgoing:
            lock.constants[B] += lock.constants[A] * shift
        if bool(layer.mask[sums[0]].any()):
            return
        pivot = outgoing[0]
        if pivot.primitive.gauge in ("none", "exp", "odd", "even", "sine", "cosine"):
            scale = float(pivot.constants[A])
            if scale == 0:
                return
            _scale_sum(layer, sums[0], scale)
            pivot.free[A] = False
        else:  # the pivot's own a is redundant: scale the sum itself
            scale = 1 / _normalize(layer, sums[0])
        for lock in outgoing:
            lock.constants[A] /= scale
        return
    for j in sums:
        _gather_shifts(layer, j)
        if bool(layer.mask[j].any()):
            continue
        scale = _normalize(layer, j)
        for lock in outgoing:
            lock.constants[A] *= scale


def _locks_into(layer: KANLayer, j: int) -> list[Lock]:
    return [lock for (o, _), lock in layer.locked() if o == j]


def _take_shift(layer: KANLayer, j: int) -> Tensor:
    """Set every `d` that enters a sum to zero for good, and give what they were together."""
    locks = _locks_into(layer, j)
    shift = layer.coef.new_zeros(())
    for lock in locks:
        shift = shift + lock.constants[D]
        lock.constants[D] = 0
        lock.free[D] = False
    return shift


def _gather_shifts(layer: KANLayer, j: int) -> None:
    """Let one `d` stand for all that enter a sum; a spline among them can hold it as well."""
    locks = _locks_into(layer, j)
    shift = _take_shift(layer, j)
    if bool(layer.mask[j].any()):
        i = int(layer.mask[j].nonzero()[0])
        one, _ = layer.basis.line()
        layer.coef[j, i] += shift * one[i]
    elif locks:
        locks[0].constants[D] = shift
        locks[0].free[D] = True


def _scale_sum(layer: KANLayer, j: int, scale: float) -> None:
    """Multiply everything that enters a sum."""
    layer.coef[j] *= scale
    for lock in _locks_into(layer, j):
        lock.constants[C:] *= scale


def _normalize(layer: KANLayer, j: int) -> float:
    """Make the first `c` that enters a sum 1 or -1 for good; give the scale that was taken out."""
    locks = _locks_into(layer, j)
    if not locks or float(locks[0].constants[C]) == 0 or bool(layer.mask[j].any()):
        return 1.0
    scale = abs(float(locks[0].constants[C]))
    _scale_sum(layer, j, 1 / scale)
    locks[0].free[C] = False
    return scale
