"""Enumerate small expressions of the inputs, each value once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations, product

import numpy as np

from edgewise._symbolic._discover._tree import (
    ONE,
    Array,
    Tree,
    evaluate,
    multiply,
    power,
    size,
)

_BINARY = ("+", "-", "*", "/")
_WAVES = ("sin", "cos")
_CURVES = ("exp", "log", "tanh")
_ALGEBRA = ("square", "root", "inverse")


@dataclass
class Library:
    """Expressions, with their values on some rows.

    Attributes:
        values: One expression in a row, (expressions, batch).
        sizes: The length of each.
        tree: From a place in the list to the tree.
        kinds: What each is like, (expressions,): the best of each kind is offered; all alike if
            None.
    """

    values: Array
    sizes: Array
    tree: Callable[[int], Tree] = field(repr=False)
    kinds: Array | None = None

    @classmethod
    def of(cls, trees: list[Tree], x: Array) -> Library:
        """The library of given trees, where those that differ by constants are of one kind."""
        values = np.array([evaluate(tree, x) for tree in trees])
        names: dict[str, int] = {}
        kinds = [names.setdefault(_kind(tree), len(names)) for tree in trees]
        sizes = np.array([size(tree) for tree in trees])
        return cls(values, sizes, trees.__getitem__, np.array(kinds))


def _kind(tree: Tree) -> str:
    if tree[0] in ("x", "c"):
        return str(tree[0])
    return repr(tree) if tree[0] == "k" else f"{tree[0]}({','.join(map(_kind, tree[1:]))})"


@dataclass(frozen=True)
class _Ops:
    """Which operation on which earlier expressions makes each expression."""

    ops: list[tuple[str, int, int]]

    def tree(self, n: int) -> Tree:
        """The tree of an expression."""
        op, i, j = self.ops[n]
        if op == "x":
            return ("x", i)
        u = self.tree(i)
        if op == "+":
            return ("+", u, self.tree(j))
        if op == "-":
            return ("+", u, multiply(("k", -1), self.tree(j)))
        if op == "*":
            return ("*", u, self.tree(j))
        if op == "/":
            return ("*", u, power(self.tree(j), -1))
        if op == "inc":
            return ("+", u, ONE)
        if op == "dec":
            return ("+", u, ("k", -1))
        if op == "square":
            return power(u, 2)
        if op == "root":
            return power(u, Fraction(1, 2))
        if op == "inverse":
            return power(u, -1)
        if op == "root of minus":
            return power(multiply(("k", -1), u), Fraction(1, 2))
        if op == "log of minus":
            return ("log", multiply(("k", -1), u))
        name, _, scale = op.partition(" ")
        return (name, multiply(("k", Fraction(scale)), u) if scale else u)


def enumerate_expressions(
    x: Array, limit: int, largest: int = 12, scales: tuple[str, ...] = ("1/2", "2")
) -> Library:
    """List expressions of the inputs by length, until there are as many as the limit.

    Args:
        x: Inputs, (batch, inputs).
        limit: How many expressions.
        largest: Their greatest length.
        scales: Factors inside of sine and cosine, besides one.

    Returns:
        The library; expressions that differ by a factor only stand there once.
    """
    builder = _Builder(x, limit)
    for i in range(x.shape[1]):
        builder.put("x", np.array([i]), np.array([0]), x[:, i][None], 1, np.array([False]))
    for length in range(2, largest + 1):
        if not builder.grow(length, scales):
            break
    return builder.library()


def products(x: Array, limit: int) -> Library:
    """List products of small powers of the inputs and of at most one function of one or two.

    Args:
        x: Inputs, (batch, inputs).
        limit: How many.

    Returns:
        The library, products of few factors first.
    """
    d = x.shape[1]
    signed = [x[:, i].min() <= 0 for i in range(d)]
    powers = [_HALVES[1:3] if s else _HALVES[1:5] if d > 3 else _HALVES[1:] for s in signed]
    found: list[tuple[float, Tree]] = []
    for count in range(min(d, 4) + 1):
        for inputs in combinations(range(d), count):
            for exponents in product(*(powers[i] for i in inputs)):
                price = sum(abs(p) for p in exponents) + count / 2
                if price > (7 if d < 4 else 6):
                    continue
                factors = [power(("x", i), p) for i, p in zip(inputs, exponents, strict=True)]
                found.append((float(price), multiply(*factors)))
    pieces = _pieces(x)
    found += [(cost + price, multiply(tree, f)) for cost, tree in found for price, f in pieces]
    found.sort(key=lambda item: item[0])
    trees = [tree for _, tree in found[: 2 * limit] if tree != ONE]
    library = Library.of(trees, x)
    with np.errstate(all="ignore"):
        largest = np.abs(library.values).max(1)
    good = np.flatnonzero((largest < 1e9) & (largest > 1e-9))[:limit]
    return Library(library.values[good], library.sizes[good], lambda n: trees[int(good[n])])


def functions(x: Array) -> Library:
    """List functions of one input, and waves and exponentials of two.

    Under the logarithm, with the powers of all inputs, each makes a law with one factor that is no
    power, whatever the number of inputs.
    """
    half, two = ("k", Fraction(1, 2)), ("k", Fraction(2))
    trees: list[Tree] = []
    for i in range(x.shape[1]):
        v: Tree = ("x", i)
        square = power(v, 2)
        trees += [(f, u) for f in _WAVES for u in (v, multiply(half, v), multiply(two, v))]
        trees += [("exp", multiply(("k", s), u)) for u in (v, square) for s in (1, -1)]
        trees += [("+", u, ("k", s)) for u in (v, square, power(v, -1)) for s in (1, -1)]
        trees += [("+", ("exp", multiply(("k", s), v)), ("k", t)) for s in (1, -1) for t in (1, -1)]
        trees += [("log", v)] if x[:, i].min() > 0 else []
    for i, j in combinations(range(x.shape[1]), 2):
        u, v = ("x", i), ("x", j)
        ratio = multiply(u, power(v, -1))
        trees += [
            ("+", a, multiply(("k", s), b))
            for s in (1, -1)
            for a, b in ((u, v), (power(u, 2), power(v, 2)))
        ]
        trees += [("+", multiply(u, v), ("k", s)) for s in (1, -1)]
        if x[:, i].min() > 0 and x[:, j].min() > 0:
            trees.append(("log", ratio))
    trees += [tree for _, tree in _pieces(x) if tree not in trees]
    with np.errstate(all="ignore"):
        library = Library.of(trees, x)
        largest = np.abs(library.values).max(1)
    good = np.flatnonzero(np.isfinite(largest) & (largest < 1e9) & (largest > 1e-9))
    return Library(library.values[good], library.sizes[good], lambda n: trees[int(good[n])])


def _pieces(x: Array) -> list[tuple[float, Tree]]:
    """Functions of one input, and waves and exponentials of two, with their prices."""
    d = x.shape[1]
    found: list[tuple[float, Tree]] = []
    for i in range(d):
        v: Tree = ("x", i)
        found += [(2.0, (f, u)) for f in _WAVES for u in (v, multiply(("k", 2), v))]
        found += [(2.0, power(("sin", v), 2)), (2.0, ("exp", v))]
        found += [(2.0, ("exp", multiply(("k", -1), v)))]
        if x[:, i].min() > 0:
            found.append((2.0, ("log", v)))
    for i, j in combinations(range(d), 2):
        u, v = ("x", i), ("x", j)
        arguments = [multiply(u, v), multiply(u, power(v, -1)), ("+", u, v)]
        arguments += [("+", u, multiply(("k", -1), v)), multiply(v, power(u, -1))]
        found += [(3.0, (f, w)) for w in arguments[:4] for f in _WAVES]
        found += [(3.5, (f, multiply(("k", 2), w))) for w in arguments[:4] for f in _WAVES]
        found += [(3.0, ("exp", multiply(("k", s), w))) for w in arguments for s in (1, -1)]
    return found


_HALVES = tuple(map(Fraction, (0, 1, 2, -1, -2, "1/2", "-1/2")))


class _Builder:
    def __init__(self, x: Array, limit: int) -> None:
        self.limit = limit
        self.rows = len(x)
        self.ops: list[tuple[str, int, int]] = []
        self.blocks: list[Array] = []
        self.sizes: list[int] = []
        self.curved: list[bool] = []
        self.levels: dict[int, list[int]] = {}
        self.seen: set[bytes] = set()

    @property
    def full(self) -> bool:
        return len(self.ops) >= self.limit

    def put(self, op: str, i: Array, j: Array, values: Array, length: int, curved: Array) -> None:
        """Add those of some expressions that are numbers and new."""
        with np.errstate(all="ignore"):
            largest = np.abs(values).max(1)
            good = np.isfinite(largest) & (largest < 1e9) & (largest > 1e-9)
            good &= np.ptp(values, axis=1) > 1e-9 * largest
            keys = np.round(values / (largest * np.sign(values[:, 0] + 1e-300))[:, None], 9) + 0.0
        for k in np.flatnonzero(good):
            if self.full:
                return
            key = keys[k].tobytes()
            if key in self.seen:
                continue
            self.seen.add(key)
            self.levels.setdefault(length, []).append(len(self.ops))
            self.ops.append((op, int(i[k]), int(j[k])))
            self.blocks.append(values[k])
            self.sizes.append(length)
            self.curved.append(bool(curved[k]))

    def grow(self, length: int, scales: tuple[str, ...]) -> bool:
        """Add all expressions of a length."""
        before = len(self.ops)
        below = np.array(self.levels.get(length - 1, []), dtype=int)
        if len(below):
            self._unary(below, length, scales)
        for left in range(1, length - 1):
            right = length - 1 - left
            if left in self.levels and right in self.levels:
                self._binary(np.array(self.levels[left]), np.array(self.levels[right]), length)
            if self.full:
                return False
        return len(self.ops) > before or length <= 3

    def _unary(self, below: Array, length: int, scales: tuple[str, ...]) -> None:
        V = np.array([self.blocks[k] for k in below])
        curved = np.array([self.curved[k] for k in below])
        none = np.zeros_like(below)
        with np.errstate(all="ignore"):
            for op, values in (
                ("square", V * V),
                ("root", np.sqrt(np.where(V > 0, V, np.nan))),
                ("root of minus", np.sqrt(np.where(V < 0, -V, np.nan))),
                ("inverse", 1 / V),
                ("inc", V + 1),
                ("dec", V - 1),
            ):
                self.put(op, below, none, values, length, curved)
            flat = ~curved
            logs = np.log(np.where(V < 0, -V, np.nan))[flat]
            self.put("log of minus", below[flat], none, logs, length, ~none[flat].astype(bool))
            for op in _CURVES:
                self.put(
                    op,
                    below[flat],
                    none,
                    getattr(np, op)(V[flat]),
                    length,
                    ~none[flat].astype(bool),
                )
            for scale in ("", *scales):
                factor = float(Fraction(scale or "1"))
                for op in _WAVES:
                    values = getattr(np, op)(factor * V[flat])
                    self.put(
                        f"{op} {scale}".strip(),
                        below[flat],
                        none,
                        values,
                        length,
                        ~none[flat].astype(bool),
                    )

    def _binary(self, left: Array, right: Array, length: int) -> None:
        ordered = self.sizes[left[0]] <= self.sizes[right[0]]
        R = np.array([self.blocks[k] for k in right])
        bent = np.array([self.curved[k] for k in right])
        same = self.sizes[left[0]] == self.sizes[right[0]]
        for place, i in enumerate(left):
            if self.full:
                return
            L, curved = self.blocks[i], bent | self.curved[i]
            here = np.full(len(right), i)
            some = slice(place if same else 0, None)
            with np.errstate(all="ignore"):
                if ordered:
                    self.put("+", here[some], right[some], L + R[some], length, curved[some])
                    self.put("*", here[some], right[some], L * R[some], length, curved[some])
                    self.put("-", here[some], right[some], L - R[some], length, curved[some])
                self.put("/", here, right, L / R, length, curved)

    def library(self) -> Library:
        return Library(np.array(self.blocks), np.array(self.sizes), _Ops(self.ops).tree)
