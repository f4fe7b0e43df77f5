"""The order of the search: quick closed forms, reductions, and ever larger libraries."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from edgewise._symbolic._discover._additive import additive
from edgewise._symbolic._discover._curves import bilinear_waves, curves, waves
from edgewise._symbolic._discover._library import enumerate_expressions, functions, products
from edgewise._symbolic._discover._noise import is_noise
from edgewise._symbolic._discover._oracles import low_degree, monomial, polynomial, rational
from edgewise._symbolic._discover._pool import Pool, Stop
from edgewise._symbolic._discover._problem import LINKS, Problem, linked
from edgewise._symbolic._discover._regress import regress
from edgewise._symbolic._discover._splits import Split, linear_in, part_of, splits
from edgewise._symbolic._discover._structure import View, lumped, noisier, reductions, view
from edgewise._symbolic._discover._tree import Tree, multiply, power, substitute
from edgewise._symbolic._discover._units import reduced

_PLAIN = ("id", "log", "inv", "square")
_ALL = (
    "id",
    "log",
    "inv",
    "square",
    "invsquare",
    "exp",
    "logs",
    "sqrt",
    "sin",
    "cos",
    "tan",
    "asin",
    "asinsqrt",
    "atanh",
)
_POLYNOMIAL = ("id", "inv", "square", "invsquare", "exp")
_SHORT = 10
"""The length of a law, in symbols and constants, up to which one in noise ends the search early."""
_SPLIT = ("id", "log", "inv", "square", "invsquare", "exp")


def search(
    pool: Pool,
    inputs: list[int] | None = None,
    units: tuple[list[list[Fraction]], list[Fraction]] | None = None,
) -> bool:
    """Fill a pool, until an exact formula is found, the time is over, or there is nothing left.

    Args:
        pool: The pool.
        inputs: The inputs that are used; all by default.
        units: The exponents of the units of the inputs and of the target.

    Returns:
        Whether the search came to its end.
    """
    whole = Problem.whole(pool)
    kept = list(range(whole.width)) if inputs is None else inputs
    names: list[Tree] = [("x", i) for i in kept]
    roots = [whole.with_inputs(names)]
    with np.errstate(all="ignore"):
        try:
            if units is not None:
                roots = reduced(roots[0], [units[0][i] for i in kept], units[1])
            _guess(roots[0])
            for root in roots:
                if root.width > 1:
                    monomial(root)
                    polynomial(root, _POLYNOMIAL)
                    _saturated(root)
                    additive(root, _solve_part)
            for i in range(roots[0].width):
                waves(roots[0], i)
            plans = [_Plan(root) for root in roots]
            for effort in (1, 2, 3):
                for plan in plans:
                    plan.step(effort)
                best = pool.best if pool.explained_by_noise else None
                if best is not None and (effort > 1 or best.size + best.numbers <= _SHORT):
                    break
        except Stop:
            return pool.done
    return True


def _guess(problem: Problem) -> None:
    """Guess the noise from what a surrogate leaves, if that looks like noise."""
    seen = view(problem, ("id",)) if problem.width else None
    if seen is not None and seen.error > 1e-4 * problem.pool.scale:
        r = problem.y - seen.values
        if is_noise(problem.x, r):
            problem.pool.guess = seen.error


class _Plan:
    """The reductions of a problem, made once, and how its ends are searched."""

    def __init__(self, problem: Problem, depth: int = 0) -> None:
        self.depth = depth
        self.chain = [problem]
        self.view: View | None = None
        _quick(problem)
        first = None
        seen = view(problem) if problem.width > 1 else None
        while seen is not None and problem.width > 1:
            self.view = seen
            first = first or seen
            rough = seen.error > 0.1 * problem.pool.scale and len(self.chain) == 1
            alone = lumped(problem, seen) if rough else None
            moves = [alone] if alone is not None else reductions(problem, seen)
            if not moves:
                break
            problem, seen = moves[0].problem, moves[0].view
            self.chain.append(problem)
            _quick(problem)
        if first is not None:
            _one_factor(self.chain[0], first)
        if problem.width == 1:
            self.view = view(problem)

    def step(self, effort: int) -> None:
        """Search the problem where it is smallest, and before."""
        leaf = self.chain[-1]
        for noise in self._noises():
            here = noisier(leaf, noise)
            if leaf.width == 1:
                _one(here, effort)
            if leaf.width == 2 and effort == 1:
                bilinear_waves(here)
            if leaf.width >= 1:
                _enumerate(here, effort)
            before = self.chain[-2:-4:-1] if effort > 1 else self.chain[-2:-3:-1]
            if len(self.chain) > len(before) + 1 and self.is_rough:
                before = [*before, self.chain[0]]
            for earlier in before:
                _enumerate(noisier(earlier, noise), effort)
            explained = leaf.pool.explained_by_noise
            if effort == 1 and leaf.width > 1 and self.view and self.depth < 3 and not explained:
                _divide(here, self.view, self.depth)
            _loosen(leaf.pool)

    @property
    def is_rough(self) -> bool:
        """Whether the surrogate was poor, so that the reductions may be wrong."""
        seen, pool = self.view, self.chain[0].pool
        return seen is not None and seen.error > 0.02 * pool.scale and not pool.guess

    def _noises(self) -> list[float]:
        """What the noise may be: none, or what the surrogate leaves."""
        leaf, seen = self.chain[-1], self.view
        if leaf.noise or seen is None:
            return [0.0]
        share = seen.error / leaf.pool.scale
        if share < 1e-5:
            return [0.0]
        r = (leaf.y - seen.values) * leaf.gain
        if leaf.pool.guess or (leaf.width <= 4 and is_noise(leaf.x, r)):
            leaf.pool.sigma = seen.error
            return [0.9 * seen.error]
        return [0.0, 0.9 * seen.error]


def _solve(problem: Problem, depth: int) -> None:
    """Explain a part of a problem, with little effort."""
    plan = _Plan(problem, depth)
    for effort in (1, 2):
        plan.step(effort)
        if problem.pool.noise and problem.pool.explained():
            return


def _solve_part(part: Pool) -> None:
    """Explain a function of one input, with no more effort than it takes."""
    problem = Problem.whole(part)
    rows = _rows(problem)
    x = problem.x[rows]
    monomial(problem)
    low_degree(problem, ("id", "inv", "square", "invsquare"))
    for library in (enumerate_expressions(x, 300, 5), curves(x)):
        regress(problem, library, rows, _PLAIN, pairs=300, offers=3, deep=3)
        if part.explained():
            return
    _one(problem, 1)


def _quick(problem: Problem) -> None:
    if problem.width == 0:
        problem.offer(("c", float(np.mean(problem.y))))
        return
    monomial(problem)
    if not problem.noise:
        polynomial(problem, (*_POLYNOMIAL, "logit"))
        rational(problem, ("id", "square"))
        _bent(problem)
    elif problem.width <= 2:
        low_degree(problem, ("id", "inv", "square", "invsquare", "logs", "logit"))
    rows = _rows(problem)
    few = enumerate_expressions(problem.x[rows], 300, 3 if problem.width > 4 else 4)
    regress(problem, few, rows, _PLAIN, pairs=300, offers=3)


def _saturated(problem: Problem) -> None:
    """1 / (exp(u) ± 1) of a polynomial or a product of powers u, up to a factor: an input."""
    factors: list[Tree] = [("x", i) for i in range(problem.width) if (problem.x[:, i] != 0).all()]
    for target in [problem, *map(problem.divided, factors)]:
        for name in ("logit", "planck"):
            if (inner := linked(target, LINKS[name])) is not None:
                monomial(inner)
                polynomial(inner, ("id",), 130)


def _one_factor(problem: Problem, seen: View) -> None:
    """Products of powers with one or two factors that are other functions, and sums of two."""
    unsure = 0.9 * seen.error if seen.error > 1e-5 * problem.pool.scale else 0.0
    for noise in dict.fromkeys((0.0, unsure)):
        here = noisier(problem, noise)
        rows = _rows(here)
        library = functions(here.x[rows])
        regress(here, library, rows, ("log", "id"), pairs=400, offers=4)


def _bent(problem: Problem) -> None:
    """Polynomials and rational functions of the inputs and of one function of one of them."""
    for i in range(min(problem.width, 6)):
        for name in ("cos", "sin", "exp", "log"):
            if name == "log" and problem.x[:, i].min() <= 0:
                continue
            inputs: list[Tree] = [("x", k) for k in range(problem.width)]
            inputs[i] = (name, ("x", i))
            bent = problem.with_inputs(inputs)
            if np.abs(bent.x[:, i]).max() < 1e6:
                polynomial(bent, ("id", "inv", "square"), 130)
                rational(bent, ("id",), 100)


def _rows(problem: Problem, most: int = 200) -> np.ndarray:
    n = len(problem.y)
    if problem.noise:
        most = 400
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(int)


def _one(problem: Problem, effort: int) -> None:
    """Functions of one input with constants inside."""
    if effort == 1:
        waves(problem, 0, grows=True)
    rows = _rows(problem)
    links = ("id", "log", "inv", "square") if effort == 1 else _ALL
    ways = [problem]
    u = problem.x[:, 0]
    if np.abs(u).min() > 0.02 * np.abs(u).max() or u.min() > 0:
        ways.append(problem.with_inputs([power(("x", 0), -1)]))
    if effort == 1 and len(ways) > 1 and not problem.noise:
        for way in ways:  # a scaling may have been taken out of the wrong input
            for p in (-4, -2, -1, 1, 2, 4):
                turned = way.divided(power(("x", 0), p))
                polynomial(turned, ("id", "inv", "square", "invsquare"), 8)
                rational(turned, ("id", "square"), 14)
    for way in ways:
        library = curves(way.x[rows], 0, 40 * effort, effort > 1)
        regress(way, library, rows, links, pairs=800, offers=4, deep=4 if effort > 1 else 0)


def _enumerate(problem: Problem, effort: int) -> None:
    rows = _rows(problem)
    limit = (1200, 4000, 20000)[effort - 1]
    if problem.noise:
        limit = (600, 1500, 4000)[effort - 1]
    x = problem.x[rows]
    library = enumerate_expressions(
        x, limit, 12, ("1/2", "2") if effort < 3 else ("1/2", "2", "1/3", "3")
    )
    links = _PLAIN if effort == 1 and (problem.width > 2 or problem.noise) else _ALL
    if problem.width > 1:
        terms = products(x, (1500, 3000, 5000)[effort - 1])
        sums = tuple(name for name in links if name != "log")
        regress(problem, terms, rows, sums, pairs=1500, offers=4, deep=(6, 12, 20)[effort - 1])
    regress(
        problem,
        library,
        rows,
        links,
        pairs=(1200, 2500, 4000)[effort - 1],
        offers=(4, 6, 8)[effort - 1],
        deep=(4, 10, 20)[effort - 1],
    )


def _divide(problem: Problem, seen: View, depth: int) -> None:
    """Solve the parts of a sum, of a product, or of a line, one after the other."""
    for split in splits(problem, seen, _SPLIT)[:3]:
        _sum_of_parts(split, depth)
    for i, s in linear_in(problem, seen)[:2]:
        rest = [k for k in range(problem.width) if k != i]
        slope = s.gradient[:, i]
        error = s.error / (float(np.std(problem.x[:, i])) or 1.0)
        for tree in _answers(problem, problem.x[:, rest], slope, error, depth):
            inner = _renamed(tree, rest)
            left = problem.less(multiply(("x", i), inner))
            _solve(noisier(left.with_inputs([("x", k) for k in rest]), s.error), depth + 1)


def _sum_of_parts(split: Split, depth: int) -> None:
    """Solve the part of fewer inputs, then the rest without it; under log y these are factors."""
    whole = split.target
    rest = tuple(i for i in range(whole.width) if i not in split.block)
    first, second = sorted((split.block, rest), key=len)
    x, y, noise = part_of(split, first)
    if split.link == "log":
        y = np.exp(y - y.mean())
        noise *= float(np.mean(y * y))
    for tree in _answers(whole, x, y, float(np.sqrt(noise)), depth):
        known = _renamed(tree, list(first))
        left = split.source.divided(known) if split.link == "log" else whole.less(known)
        if np.isfinite(left.y).all():
            inputs: list[Tree] = [("x", k) for k in second]
            _solve(noisier(left.with_inputs(inputs), split.surrogate.error), depth + 1)


def _answers(
    problem: Problem, x: np.ndarray, y: np.ndarray, error: float, depth: int
) -> list[Tree]:
    """The best trees for a part that is known with some error."""
    part = Pool(x, y, problem.pool.clock, noise=max(error * error, 1e-24))
    _solve(Problem.whole(part), depth + 1)
    ranked = part.ranked()[:2]
    return [c.tree for c in ranked if c.loss < 4 * part.floor or c is ranked[0]]


def _renamed(tree: Tree, inputs: list[int]) -> Tree:
    names: list[Tree] = [("x", i) for i in inputs]
    return substitute(tree, names)


def _loosen(pool: Pool) -> None:
    """Give the best trees free constants inside of their functions."""
    for candidate in pool.ranked()[:12]:
        for tree in _looser(candidate.tree):
            pool.offer(tree, 40)


def _looser(tree: Tree) -> list[Tree]:
    from edgewise._symbolic._discover._tree import FUNCTIONS, add

    def scaled(t: Tree, shift: bool) -> Tree:
        if t[0] in ("x", "c", "k"):
            return t
        parts = [scaled(p, shift) for p in t[1:]]
        if t[0] in FUNCTIONS and t[0] != "log" and t[1][0] != "c":
            inner = parts[0] if _has_scale(parts[0]) else multiply(("c", 1.0), parts[0])
            return (t[0], add(inner, ("c", 0.0)) if shift else inner)
        return (t[0], *parts)

    def summed(t: Tree) -> Tree:
        if t[0] in ("x", "c", "k"):
            return t
        parts = [summed(p) for p in t[1:]]
        if t[0] == "+" and not _has_scale(parts[1]) and not _has_scale(parts[0]):
            return ("+", parts[0], multiply(("c", 1.0), parts[1]))
        return (t[0], *parts)

    return [scaled(tree, False), scaled(tree, True), summed(tree), summed(scaled(tree, False))]


def _has_scale(tree: Tree) -> bool:
    return tree[0] == "c" or (tree[0] == "*" and any(_has_scale(p) for p in tree[1:]))
