"""Take a target apart: a sum under a link, or a line in one input."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from edgewise._symbolic._discover._problem import LINKS, Problem, linked
from edgewise._symbolic._discover._structure import View
from edgewise._symbolic._discover._surrogate import Surrogate, fit_surrogate
from edgewise._symbolic._discover._tree import Array


@dataclass(frozen=True)
class Split:
    """T(y) = a part of some inputs + a part of the others, found by a surrogate."""

    source: Problem
    link: str
    block: tuple[int, ...]
    target: Problem
    surrogate: Surrogate


def splits(problem: Problem, seen: View, links: tuple[str, ...]) -> list[Split]:
    """The ways in which T(y) is a sum over two groups of inputs, the best first."""
    d = problem.width
    found: list[Split] = []
    limit = max(1.1 * seen.error, 1e-8 * problem.pool.scale)
    blocks = [c for n in range(1, d // 2 + 1) for c in combinations(range(d), n)]
    blocks = [b for b in blocks if not (2 * len(b) == d and 0 not in b)]
    for name in links:
        target = linked(problem, LINKS[name])
        if target is None:
            continue
        for block in blocks[:24]:
            problem.pool.clock.check()
            rest = [i for i in range(d) if i not in block]
            s = fit_surrogate(target.x, target.y, target.gain, blocks=[block, rest])
            if s is not None and s.error <= limit:
                found.append(Split(problem, name, block, target, s))
    return sorted(found, key=lambda s: s.surrogate.error)


def part_of(split: Split, block: tuple[int, ...]) -> tuple[Array, Array, float]:
    """The inputs and values of the part of one block, and the mean square of its error in T(y)."""
    rest = [i for i in range(split.target.width) if i not in block]
    values = split.target.y - split.surrogate.part(rest)
    error = split.target.y - split.surrogate.values
    return split.target.x[:, list(block)], values, float(np.mean(error * error))


def linear_in(problem: Problem, seen: View) -> list[tuple[int, Surrogate]]:
    """The inputs that y is linear in, with the surrogate that is."""
    found = []
    limit = max(1.05 * seen.error, 1e-8 * problem.pool.scale)
    for i in range(problem.width):
        problem.pool.clock.check()
        s = fit_surrogate(problem.x, problem.y, problem.gain, linear=i)
        if s is not None and s.error <= limit:
            found.append((i, s))
    return sorted(found, key=lambda f: f[1].error)
