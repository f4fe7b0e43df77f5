"""Plan a network: which node computes what, and in which layer it can be at the earliest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from edgewise._primitives import PRIMITIVES, Primitive
from edgewise._symbolic._compile._words import Reader

Node: TypeAlias = "Input | Sum | Product"


@dataclass(frozen=True)
class Input:
    """An input of the network."""

    index: int


@dataclass(frozen=True)
class Term:
    """What an edge computes: `c * f(a * node + b)`, with numbers of SymPy.

    Attributes:
        primitive: The function f.
        a: A factor of the argument.
        b: A shift of the argument.
        c: A factor of the value.
        node: What the edge leaves.
        passes: Whether the edge only passes a value on, with no number of the formula's.
    """

    primitive: Primitive
    a: Any
    b: Any
    c: Any
    node: Node
    passes: bool = False

    @property
    def alone(self) -> Sum:
        """A sum of this term without its factor c."""
        return Sum((replace(self, c=1),), 0)

    def times(self, factor: Any) -> Term:
        """The term times a number."""
        return replace(self, c=factor * self.c, passes=self.passes and factor == 1)


@dataclass(frozen=True)
class Sum:
    """A sum of edges, and a number."""

    terms: tuple[Term, ...]
    constant: Any


@dataclass(frozen=True)
class Product:
    """A product of two or more sums."""

    factors: tuple[Sum, ...]


def line(node: Node, c: Any) -> Term:
    """An edge that is a node times a number."""
    return Term(PRIMITIVES["x"], 1, 0, c, node)


def passed(node: Node) -> Sum:
    """A node, passed on to a later layer."""
    return Sum((replace(line(node, 1), passes=True),), 0)


class Plan:
    """Turn expressions into nodes, and tell their layers.

    Args:
        reader: What knows the primitives.
        symbols: The inputs.
    """

    def __init__(self, reader: Reader, symbols: Sequence[Any]) -> None:
        self._reader = reader
        self._inputs = {symbol: Input(n) for n, symbol in enumerate(symbols)}
        self._sums: dict[Any, Sum] = {}
        self._levels: dict[Node, int] = {}
        self._arranged: dict[Sum, tuple[Term, ...]] = {}

    def output(self, expr: Any) -> Sum | Product:
        """The node of a whole expression; a factor of a product goes into one of its sums."""
        factor, rest = self._reader.split_factor(expr)
        node = self.node(rest) if rest.is_Mul else None
        if not isinstance(node, Product):
            return self.sum(expr)
        first, *others = node.factors
        scaled = tuple(term.times(factor) for term in first.terms)
        return Product((Sum(scaled, factor * first.constant), *others))

    def node(self, expr: Any) -> Node:
        """The node whose value is an expression that has no factor and no constant term."""
        if expr in self._inputs:
            return self._inputs[expr]
        if expr.is_Mul:
            return self._product([self.sum(factor) for factor in expr.args])
        return self.sum(expr)

    def sum(self, expr: Any) -> Sum:
        """An expression as a sum of terms."""
        if expr not in self._sums:
            self._sums[expr] = self._sum(expr)
        return self._sums[expr]

    def _sum(self, expr: Any) -> Sum:
        import sympy

        terms, constant = [], sympy.Integer(0)
        for part in sympy.Add.make_args(expr):
            factor, rest = self._reader.split_factor(part)
            if rest.is_number:  # 1, or 0 in the sum 0
                constant += factor * rest
            elif rest in self._inputs or rest.is_Mul:
                terms.append(line(self.node(rest), factor))
            elif rest.is_Add:  # 2 (x + y): SymPy multiplies out where it can
                inner = self.sum(rest)
                terms += [term.times(factor) for term in inner.terms]
                constant += factor * inner.constant
            else:
                found = self._reader.split_function(rest)
                if found is None:
                    inner = self.sum(self._reader.rewrite(rest))
                    terms += [term.times(factor) for term in inner.terms]
                    constant += factor * inner.constant
                    continue
                primitive, argument = found
                a, b, core = self._reader.split_line(argument)
                terms.append(Term(primitive, a, b, factor, self.node(core)))
        return Sum(tuple(terms), constant)

    def _product(self, factors: list[Sum]) -> Product:
        """Multiply all at once, but first those that are there earlier: one value waits for them.

        That makes no network deeper: a product that is there earlier is passed on by an edge.
        """
        last = max(map(self.level, factors))
        early = [factor for factor in factors if self.level(factor) < last]
        late = [factor for factor in factors if self.level(factor) == last]
        if len(early) > 1:
            early = [passed(self._product(early))]
        return Product((*early, *late))

    def level(self, node: Node) -> int:
        """The first layer that a node can be in; the inputs are layer 0."""
        if node not in self._levels:
            match node:
                case Input():
                    level = 0
                case Product():
                    level = max(map(self.level, node.factors))
                case Sum():
                    level = 1 + max((self.level(t.node) for t in self.arrange(node)), default=0)
            self._levels[node] = level
        return self._levels[node]

    def arrange(self, node: Sum) -> tuple[Term, ...]:
        """The edges of a sum: between two nodes there is one, so other terms come a node later.

        Of the terms that leave one node the others become nodes of their own, a layer further.
        """
        if node not in self._arranged:
            taken: dict[Node, Term] = {}
            sources = {term.node for term in node.terms}
            first = sorted(node.terms, key=lambda t: (-self.level(t.node), t.alone not in sources))
            for term in first:
                while term.node in taken:
                    term = line(term.alone, term.c)
                taken[term.node] = term
            self._arranged[node] = tuple(taken.values())
        return self._arranged[node]
