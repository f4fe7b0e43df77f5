"""Sums of one function for each input under a link: each part is a problem of one input.

Polynomials of all inputs are fitted as one linear problem. Where they explain T(y), what the others
leave of T(y) is the values of one part, and the part is searched by itself. The parts do not know
of each other, so that the number of inputs hardly matters. Under log y they are factors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgewise._symbolic._discover._noise import is_noise
from edgewise._symbolic._discover._pool import Pool
from edgewise._symbolic._discover._problem import LINKS, Problem, linked
from edgewise._symbolic._discover._surrogate import Surrogate, fit_surrogate
from edgewise._symbolic._discover._tree import ONE, Tree, add, multiply, substitute

_LINKS = ("id", "log", "square", "inv", "invsquare", "sqrt", "exp")
_EXPLAINED = 1e-3
"""The error, as a share of the size of y, below which a sum of polynomials explains y."""
_FEWEST = 2
"""Parts of a sum, at least; one part alone is what the search of all others is about."""


@dataclass(frozen=True)
class _Sum:
    """T(y) as a sum of one polynomial for each of some inputs."""

    source: Problem
    link: str
    target: Problem
    inputs: list[int]
    surrogate: Surrogate


def additive(problem: Problem, solve: Callable[[Pool], None]) -> None:
    """Offer sums of functions of one input each, under the link that explains most.

    Args:
        problem: The problem.
        solve: What searches a part of one input.
    """
    best = _best_sum(problem)
    if best is None:
        return
    answers = [_answers(best, i, solve) for i in best.inputs]
    if not all(answers):
        return
    first = [ways[0] for ways in answers]
    _offer(best, first)
    for k, ways in enumerate(answers):
        for other in ways[1:]:
            _offer(best, [*first[:k], other, *first[k + 1 :]])


def _best_sum(problem: Problem) -> _Sum | None:
    """The sum that explains y, if there is one, without the inputs that do nothing in it."""
    best: _Sum | None = None
    every = list(range(problem.width))
    for name in _LINKS:
        problem.pool.clock.check()
        target = linked(problem, LINKS[name])
        if target is None:
            continue
        s = _fit(target, every)
        if s is not None and (best is None or s.error < 0.5 * best.surrogate.error):
            best = _Sum(problem, name, target, every, s)
    if best is None:
        return None
    if best.surrogate.error > _EXPLAINED * problem.pool.scale:
        r = (best.target.y - best.surrogate.values) * best.target.gain
        if not is_noise(problem.x, r):
            return None
    best = _without_idle(best)
    return best if len(best.inputs) >= _FEWEST else None


def _fit(target: Problem, inputs: list[int]) -> Surrogate | None:
    blocks = [[k] for k in range(len(inputs))]
    return fit_surrogate(target.x[:, inputs], target.y, target.gain, blocks=blocks)


def _without_idle(best: _Sum) -> _Sum:
    """Leave out the inputs without which the sum fits no worse, the smallest part first."""
    limit = max(1.02 * best.surrogate.error, 1e-9 * best.target.pool.scale)
    sizes = {
        i: float(np.std(best.surrogate.part([k]) * best.target.gain))
        for k, i in enumerate(best.inputs)
    }
    for i in sorted(sizes, key=sizes.__getitem__):
        rest = [k for k in best.inputs if k != i]
        if sizes[i] > 4 * limit or not rest:
            break
        best.target.pool.clock.check()
        s = _fit(best.target, rest)
        if s is not None and s.error <= limit:
            best = _Sum(best.source, best.link, best.target, rest, s)
    return best


def _answers(best: _Sum, input_: int, solve: Callable[[Pool], None]) -> list[Tree]:
    """The best trees for one part, without the constants that other parts have too."""
    target, s = best.target, best.surrogate
    others = [k for k, i in enumerate(best.inputs) if i != input_]
    y = target.y - s.part(others)
    noise = float(np.mean((target.y - s.values) ** 2))
    factor = best.link == "log"
    if factor:
        y = np.exp(y - y.mean())
        noise *= float(np.mean(y * y))
    part = Pool(target.x[:, [input_]], y, target.pool.clock, noise=max(noise, 1e-24))
    solve(part)
    found: dict[Tree, None] = {}
    for candidate in part.ranked()[:6]:
        tree = _bare(candidate.tree, "*" if factor else "+")
        if tree != ONE and candidate.loss < 4 * part.floor:
            found.setdefault(substitute(tree, [("x", input_)]))
    return list(found)[:3]


def _bare(tree: Tree, kind: str) -> Tree:
    """A sum or product without the numbers in it."""
    if tree[0] in ("c", "k"):
        return ONE
    if tree[0] != kind:
        return tree
    parts = [part for part in (_bare(part, kind) for part in tree[1:]) if part != ONE]
    if not parts:
        return ONE
    return (add if kind == "+" else multiply)(*parts)


def _offer(best: _Sum, parts: list[Tree]) -> None:
    """Offer the sum, all of whose constants are fitted together; as a product under log y."""
    if best.link == "log":
        problem = best.source
        sign = 1.0 if np.sign(problem.y).sum() >= 0 else -1.0
        size = float(np.exp(np.mean(np.log(np.abs(problem.y)))))
        problem.offer(multiply(("c", sign * size), *parts), 60)
    else:
        best.target.offer(add(*parts, ("c", 0.0)), 60)
