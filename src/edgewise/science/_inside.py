r"""Sums inside a function, :math:`f = F(\sum_A g_A(x_A))`, found without knowing F.

The ratio :math:`f_i / f_j` is free of F. For i in A and j in B it is :math:`g_{A,i} / g_{B,j}`: it
does not turn with an input outside A and B, and its logarithm is a function of :math:`x_A` plus one
of :math:`x_B`. With three groups or more the first says it all (Gorman 1968, *The structure of
utility functions*, Rev. Econ. Stud. 35); with two the second is needed, which takes third
derivatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.science._derivatives import Derivatives, Function, ratio
from edgewise.science._groups import Groups, components, without

_STEP = 1e-4
"""The step of third derivatives, in standard deviations: they are differences of Hessians."""


def turns(found: Derivatives) -> Float[Tensor, "inputs inputs inputs"]:
    r"""How much :math:`\log (f_i / f_j)` changes with each input k, at the place i, j, k.

    The derivatives are in standard deviations. What is scored is :math:`f_j f_{ik} - f_i f_{jk}`
    by the size of its terms and of :math:`f_i f_j`.
    """
    g, h = found.gradient, found.hessian
    count = g.shape[1]
    result = g.new_zeros(count, count, count)
    for i in range(count):
        for j in range(i):
            here, there = g[:, j, None] * h[:, i], g[:, i, None] * h[:, j]  # (batch, inputs)
            size = here.abs() + there.abs() + (g[:, i] * g[:, j]).abs()[:, None]
            result[i, j] = result[j, i] = ratio((here - there).abs().mean(0), size.mean(0))
    return result


def inside(
    f: Function,
    x: Tensor,
    found: Derivatives,
    spread: Tensor,
    idle: tuple[int, ...],
    tolerance: float,
) -> tuple[Groups, Tensor, Tensor]:
    """The finest groups of a sum inside; the scores of pairs and the turns that tell."""
    scores, turned = without(_pairs(f, x, found, spread), idle), turns(found)
    inputs = [i for i in range(x.shape[1]) if i not in idle]
    return unturned(inputs, scores > tolerance, turned, tolerance), scores, turned


def unturned(inputs: Iterable[int], tied: Tensor, turned: Tensor, tolerance: float) -> Groups:
    """The finest groups between which no ratio turns with a third, and that keep pairs together."""
    tied, inputs = tied.clone(), tuple(inputs)
    while True:
        groups = components(inputs, tied)
        crossing = next((c for c in _crossings(groups) if turned[c] > tolerance), None)
        if crossing is None:
            return groups
        i, j, k = crossing
        # of three, the two whose ratio turns least are one; all three if every ratio turns
        three = {(i, j): turned[i, j, k], (i, k): turned[i, k, j], (j, k): turned[j, k, i]}
        pair = min(three, key=lambda p: float(three[p]))
        one_already = any(set(pair) <= set(group) for group in groups)
        for one, other in three if one_already or three[pair] > tolerance else [pair]:
            tied[one, other] = tied[other, one] = True


def lack(groups: Groups, turned: Tensor) -> float:
    """The largest turn of a ratio with an input that is in neither group."""
    return max((float(turned[i, j, k]) for i, j, k in _crossings(groups)), default=0.0)


def _crossings(groups: Groups) -> Iterator[tuple[int, int, int]]:
    """Pairs i < j, with each k that is in the group of neither."""
    of = {i: number for number, group in enumerate(groups) for i in group}
    for i in of:
        for j in of:
            if i < j:
                yield from ((i, j, k) for k in of if of[k] not in (of[i], of[j]))


def _pairs(f: Function, x: Tensor, found: Derivatives, spread: Tensor) -> Tensor:
    r"""Score :math:`f_i^2 f_j^2 \partial_i \partial_j \log(f_i / f_j)` by the size of its terms."""
    g, h = found.gradient, found.hessian
    scores = x.new_zeros(x.shape[1], x.shape[1])
    third = []  # the derivative of the Hessian in each input
    for k in range(x.shape[1]):
        step = torch.zeros_like(spread)
        step[k] = _STEP * spread[k]
        ahead, behind = f(x + step).scaled(spread), f(x - step).scaled(spread)
        third.append((ahead.hessian - behind.hessian) / (2 * _STEP))
    for i in range(x.shape[1]):
        for j in range(i):
            terms = torch.stack(
                [
                    third[j][:, i, i] * g[:, i] * g[:, j] ** 2,
                    -h[:, i, i] * h[:, i, j] * g[:, j] ** 2,
                    -third[i][:, j, j] * g[:, i] ** 2 * g[:, j],
                    h[:, i, j] * h[:, j, j] * g[:, i] ** 2,
                ]
            )
            size = terms.abs().sum(0) + (g[:, i] * g[:, j]) ** 2
            scores[i, j] = scores[j, i] = ratio(terms.sum(0).abs().mean(), size.mean())
    return scores
