"""What was found so far: candidates fitted to the rows, weighed in nats, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from edgewise._symbolic._discover._digits import Lost
from edgewise._symbolic._discover._numbers import exact_numbers
from edgewise._symbolic._discover._refine import refine
from edgewise._symbolic._discover._tree import (
    FUNCTIONS,
    Array,
    Tree,
    constants,
    inputs_of,
    number,
    size,
)
from edgewise._symbolic._snap import Exact

NATS = 3.0
"""What a symbol has to be worth in log-likelihood, as in `symbolize`."""
_ROUNDING = 3e-14
"""The error, as a share of the size of y, that is no more than rounding."""
_CLOSE = 1e-4
"""The error, as a share of the size of y, above which digits of the table do not account for it."""
UNEVEN = 8.0
"""How many times its standard error a constant is off where the errors are those of digits: a few
rows, as near a pole, have most of them."""
_BRIEF = 6.0
"""How many symbols, of which a constant is as many, a law may have for each digit of y that it
gives, and for each of its inputs but the first, to end the search: a longer one may be a smooth
function that comes near by its constants."""
_KEPT = 10
_ALIKE = 1e-9
_WORDS = {"exp": 1.0, "log": 1.0, "sin": 1.5, "cos": 1.5}
"""What common functions count, in symbols; the others count two."""
_POWERS = {-1.0: 1.0, 2.0: 1.0, 0.5: 1.0, -2.0: 1.5, -0.5: 1.5, 3.0: 2.5, -3.0: 2.5}
"""The same for common powers, with their exponents; the others count three."""
_NESTED = 2.0
"""What a function of a function counts more."""
_RECIPROCAL = 1.5
"""What one over a function counts more."""


class Stop(Exception):
    """The search is over: an exact formula was found, or the time is."""


class Clock:
    """Time that may be used up; a search ends, but never changes its course, by it."""

    def __init__(self, seconds: float, read: Callable[[], float] = time.perf_counter) -> None:
        self._read = read
        self._begin = read()
        self._seconds = seconds

    @property
    def used(self) -> float:
        """Seconds since the start."""
        return self._read() - self._begin

    @property
    def left(self) -> float:
        """Seconds until it ends."""
        return self._seconds - self.used

    def check(self) -> None:
        """Raise Stop when the time is over."""
        if self.left < 0:
            raise Stop


@dataclass(frozen=True)
class Candidate:
    """A tree with fitted constants."""

    tree: Tree
    loss: float  # mean square error over the rows to fit
    size: int

    @property
    def numbers(self) -> int:
        """How many constants were fitted."""
        return len(constants(self.tree))


@dataclass
class Pool:
    """Candidates for one target.

    Args:
        x: Inputs to fit, (batch, inputs).
        y: Targets, (batch,).
        clock: The time.
        noise: The mean square of the noise on y, as far as is known; zero where y is exact.
        lost: What rounding took from the rows, where y was rounded.
        tick: Called at each candidate, to show progress.
        kept: The best candidates of each size, in symbols and constants.
        seen: The trees that were offered.
        done: Whether an exact formula was found.
        sigma: The noise that the surrogate of a reduced problem leaves, if it is noise.
        guess: That of the whole problem.
        digits: The mean square error that the digits of the table account for, once a candidate
            has come down to it: `is_right_to_digits` notes it.
        share: The largest share of a column that was lost.
    """

    x: Array
    y: Array
    clock: Clock
    noise: float = 0.0
    lost: Lost | None = None
    tick: Callable[[Pool], None] | None = None
    kept: dict[int, list[Candidate]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    done: bool = False
    sigma: float = 0.0
    guess: float = 0.0
    digits: float = 0.0

    def __post_init__(self) -> None:
        self.scale = float(np.sqrt(np.mean(self.y**2))) or 1.0
        self.rounding = (_ROUNDING * self.scale) ** 2
        self.share = 0.0 if self.lost is None else self.lost.share(self.x, self.y)

    @property
    def floor(self) -> float:
        """The mean square error that nothing gets below."""
        return max(self.noise, self.rounding)

    def offer(self, tree: Tree, steps: int = 25) -> Candidate | None:
        """Fit the constants of a tree and keep it if it is among the best of its size."""
        self.clock.check()
        length = size(tree)
        key = _shape(tree)
        if length > 60 or key in self.seen:
            return None
        self.seen.add(key)
        tree, loss = refine(tree, self.x, self.y, steps)
        if not math.isfinite(loss):
            return None
        candidate = Candidate(tree, loss, length)
        length += candidate.numbers  # a constant that may be made exact does not drive others out
        held = self.kept.setdefault(length, [])
        if not any(abs(c.loss - loss) <= _ALIKE * loss for c in held):  # it may be written twice
            held.append(candidate)
            held.sort(key=lambda c: c.loss)
            del held[_KEPT:]
        if self.tick is not None:
            self.tick(self)
        if loss <= self.rounding and not self.noise:
            self.done = True
            raise Stop
        if self.is_right_to_digits(candidate):
            tree, loss = exact_numbers(tree, self.x, self.y, self.digits, {}, UNEVEN)
            candidate = Candidate(tree, loss, size(tree))
            if self.is_right_to_digits(candidate) and self.is_brief(candidate):
                self.kept.setdefault(candidate.size + candidate.numbers, []).insert(0, candidate)
                self.done = True
                raise Stop
        return candidate

    def is_right_to_digits(self, candidate: Candidate) -> bool:
        """Whether a candidate is as right as the digits of the table can tell."""
        if self.lost is None or candidate.loss > (_CLOSE * self.scale) ** 2:
            return False
        limit = self.lost.limit(candidate.tree, self.x)
        if candidate.loss > limit:
            return False
        self.digits = min(self.digits or limit, limit)
        return True

    def is_brief(self, candidate: Candidate) -> bool:
        """Whether a law is so short beside the digits of y that it is right by no accident."""
        digits = math.log10(float(np.std(self.y)) / math.sqrt(max(candidate.loss, self.rounding)))
        most = _BRIEF * (digits + len(inputs_of(candidate.tree)) - 1)
        return candidate.size + _BRIEF * candidate.numbers <= most

    def cost(self, candidate: Candidate) -> float:
        """Error and length together, in nats; less is better."""
        loss = max(candidate.loss, self.rounding, self.digits)
        return (
            0.5 * len(self.y) * math.log(loss / self.rounding)
            + NATS * (weight(candidate.tree) + candidate.numbers)
            + bits(candidate.tree) * math.log(2)
        )

    def ranked(self) -> list[Candidate]:
        """All kept candidates, the best first."""
        return sorted((c for held in self.kept.values() for c in held), key=self.cost)

    @property
    def best(self) -> Candidate | None:
        """The candidate that costs least."""
        ranked = self.ranked()
        return ranked[0] if ranked else None

    @property
    def explained_by_noise(self) -> bool:
        """Whether the surrogate leaves noise, and the best candidate no more than it."""
        best = self.best
        return bool(self.sigma and best is not None and best.loss <= 1.1 * self.sigma**2)

    def explained(self, factor: float = 1.1) -> bool:
        """Whether a candidate leaves no more than the noise."""
        best = self.best
        return best is not None and best.loss <= factor * self.floor


def weight(tree: Tree, inside: bool = False) -> float:
    """How long a tree is, in symbols, where what is rare in laws counts more."""
    kind = tree[0]
    if kind in ("x", "c"):
        return 1.0
    if kind == "k":
        return 0.0 if number(tree[1]) in (1, -1) else 1.0
    if kind == "^" and tree[2][0] == "k":
        odd = _RECIPROCAL * (tree[1][0] in FUNCTIONS and number(tree[2][1]) < 0)
        return _POWERS.get(number(tree[2][1]), 3.0) + odd + weight(tree[1], inside)
    if kind in FUNCTIONS:
        return _WORDS.get(kind, 2.0) + _NESTED * inside + weight(tree[1], True)
    signed = kind == "*" and any(p[0] == "k" and number(p[1]) == -1 for p in tree[1:])
    return (not signed) + sum(weight(part, inside) for part in tree[1:])


def bits(tree: Tree) -> float:
    """How long the exact numbers in a tree are."""
    if tree[0] == "k":
        return tree[1].bits if isinstance(tree[1], Exact) else 0.0
    return sum(bits(part) for part in tree[1:] if isinstance(part, tuple))


def _shape(tree: Tree) -> str:
    """A tree without the digits of its constants, as a key: same start, same fit."""
    kind = tree[0]
    if kind == "c":
        return f"c{tree[1]:.3g}"
    if kind in ("x", "k"):
        value = tree[1]
        return f"{kind}{value if not isinstance(value, Fraction) else str(value)}"
    return f"({kind} {' '.join(_shape(part) for part in tree[1:])})"
