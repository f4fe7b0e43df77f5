"""A target to explain by inputs, with the way back to the target and inputs it came from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from edgewise._symbolic._discover._pool import Candidate, Pool
from edgewise._symbolic._discover._tree import (
    Array,
    Tree,
    add,
    evaluate,
    multiply,
    power,
    substitute,
)


@dataclass(frozen=True)
class Problem:
    """Explain y by the columns of x; both are functions of the data of a pool.

    Attributes:
        pool: Where the candidates go.
        x: Inputs, (batch, inputs).
        y: Targets, (batch,).
        inputs: What each column of x is, as a tree in the inputs of the pool.
        back: From a tree for y to a tree for the pool's target.
        gain: By how much the pool's target moves with y, (batch,); what an error in y counts.
        noise: The mean square of the noise, in units of the pool's target; more than the pool's
            own where y was computed with an approximation.
    """

    pool: Pool
    x: Array
    y: Array
    inputs: tuple[Tree, ...]
    back: Callable[[Tree], Tree]
    gain: Array
    noise: float = 0.0

    @classmethod
    def whole(cls, pool: Pool) -> Problem:
        """The problem that a pool is about."""
        inputs = tuple(("x", i) for i in range(pool.x.shape[1]))
        return cls(
            pool, pool.x, pool.y, inputs, lambda tree: tree, np.ones(len(pool.y)), pool.noise
        )

    @property
    def width(self) -> int:
        """The number of inputs."""
        return self.x.shape[1]

    def offer(self, tree: Tree, steps: int = 25) -> Candidate | None:
        """Offer a tree for y to the pool."""
        return self.pool.offer(self.back(substitute(tree, self.inputs)), steps)

    def divided(self, factor: Tree) -> Problem:
        """The problem for y / factor, where the factor is a tree in x."""
        values = evaluate(factor, self.x)
        known = substitute(factor, self.inputs)
        with np.errstate(all="ignore"):
            y = self.y / values
        back = self.back
        return Problem(
            self.pool,
            self.x,
            y,
            self.inputs,
            lambda tree: back(multiply(known, tree)),
            self.gain * np.abs(values),
            self.noise,
        )

    def less(self, term: Tree) -> Problem:
        """The problem for y - term, where the term is a tree in x."""
        known = substitute(term, self.inputs)
        back = self.back
        return Problem(
            self.pool,
            self.x,
            self.y - evaluate(term, self.x),
            self.inputs,
            lambda tree: back(add(tree, known)),
            self.gain,
            self.noise,
        )

    def with_inputs(self, inputs: list[Tree]) -> Problem:
        """The problem with other inputs, which are trees in x."""
        x = (
            np.column_stack([evaluate(tree, self.x) for tree in inputs])
            if inputs
            else self.x[:, :0]
        )
        trees = tuple(substitute(tree, self.inputs) for tree in inputs)
        return replace(self, x=x, inputs=trees)


@dataclass(frozen=True)
class Link:
    """An invertible function of the target.

    Attributes:
        name: What it is called.
        ahead: From y to t = T(y); NaN where it has no value.
        slope: dy/dt at y.
        back: The tree of y, from that of t; the sign is that of y where it is the same in all rows.
    """

    name: str
    ahead: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    back: Callable[[Tree, int], Tree]


def _signed(tree: Tree, sign: int) -> Tree:
    return tree if sign > 0 else multiply(("k", -1), tree)


LINKS: dict[str, Link] = {
    link.name: link
    for link in (
        Link("id", lambda y: y, np.ones_like, lambda t, s: t),
        Link("inv", lambda y: 1 / y, lambda y: y * y, lambda t, s: power(t, -1)),
        Link(
            "square",
            lambda y: y * y,
            lambda y: 0.5 / np.abs(y),
            lambda t, s: _signed(power(t, Fraction(1, 2)), s),
        ),
        Link(
            "invsquare",
            lambda y: 1 / (y * y),
            lambda y: 0.5 * np.abs(y) ** 3,
            lambda t, s: _signed(power(t, Fraction(-1, 2)), s),
        ),
        Link("log", lambda y: np.log(np.abs(y)), np.abs, lambda t, s: _signed(("exp", t), s)),
        Link("logs", lambda y: np.log(np.abs(y)), np.abs, lambda t, s: _signed(("exp", t), s)),
        Link("exp", np.exp, lambda y: np.exp(-y), lambda t, s: ("log", t)),
        Link("sqrt", np.sqrt, lambda y: 2 * np.sqrt(y), lambda t, s: power(t, 2)),
        Link(
            "sin",
            lambda y: np.where(np.abs(y) <= np.pi / 2, np.sin(y), np.nan),
            lambda y: 1 / np.abs(np.cos(y)),
            lambda t, s: ("asin", t),
        ),
        Link(
            "cos",
            lambda y: np.where((y >= 0) & (y <= np.pi), np.cos(y), np.nan),
            lambda y: 1 / np.abs(np.sin(y)),
            lambda t, s: ("acos", t),
        ),
        Link(
            "tan",
            lambda y: np.where(np.abs(y) < np.pi / 2, np.tan(y), np.nan),
            lambda y: np.cos(y) ** 2,
            lambda t, s: ("atan", t),
        ),
        Link(
            "logit",
            lambda y: np.log(1 / y - 1),
            lambda y: np.abs(y * (1 - y)),
            lambda t, s: power(add(("k", 1), ("exp", t)), -1),
        ),
        Link(
            "planck",
            lambda y: np.log(1 / y + 1),
            lambda y: np.abs(y * (1 + y)),
            lambda t, s: power(add(("k", -1), ("exp", t)), -1),
        ),
        Link("asin", np.arcsin, lambda y: np.sqrt(1 - y * y), lambda t, s: ("sin", t)),
        Link("atanh", np.arctanh, lambda y: 1 - y * y, lambda t, s: ("tanh", t)),
        Link(
            "asinsqrt",
            lambda y: np.arcsin(np.sqrt(y)),
            lambda y: 2 * np.sqrt(y * (1 - y)),
            lambda t, s: power(("sin", t), 2),
        ),
    )
}


ONE_SIGN = ("square", "invsquare", "log", "logs")
"""Links that do not tell the sign of y."""


def keeps_sign(problem: Problem, link: Link) -> bool:
    """Whether y has one sign; for squares, up to the noise."""
    signs = np.sign(problem.y)
    others = signs != (1 if signs.sum() >= 0 else -1)
    if not others.any():
        return True
    noise = max(math.sqrt(problem.noise), problem.pool.guess)
    size = (problem.gain * np.abs(problem.y))[others]
    return link.name == "square" and bool((size < 4 * noise).all())


def linked(problem: Problem, link: Link) -> Problem | None:
    """The problem for T(y), or None where T has no value on some rows."""
    with np.errstate(all="ignore"):
        t = link.ahead(problem.y)
        slope = link.slope(problem.y)
    if problem.width == 0 or not (np.isfinite(t).all() and np.isfinite(slope).all()):
        return None
    signs = np.sign(problem.y)
    sign, back = (1 if signs.sum() >= 0 else -1), problem.back
    if link.name in ONE_SIGN and not keeps_sign(problem, link):
        return None
    return Problem(
        problem.pool,
        problem.x,
        t,
        problem.inputs,
        lambda tree: back(link.back(tree, sign)),
        problem.gain * np.abs(slope),
        problem.noise,
    )
