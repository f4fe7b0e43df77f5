"""The verb: compile expressions to a network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._layer import Lock
from edgewise._network import KAN
from edgewise._nodes import Nodes, Width
from edgewise._primitives import PRIMITIVES, Library
from edgewise._symbolic._compile._plan import Input, Node, Plan, Product, Sum, Term, line, passed
from edgewise._symbolic._compile._words import Reader, parse


def compile_formula(
    expr: Any,
    inputs: Sequence[Any] | None = None,
    *,
    library: Library = PRIMITIVES,
    grid: int = 3,
    degree: int = 3,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> KAN:
    """Compile a formula to a network of locked edges that computes it, up to rounding.

    Sums become sum nodes, products product nodes of as many factors, functions and powers locked
    edges; what is there twice is computed once (the kanpiler of KAN 2.0, arXiv
    2408.10205, sec. 4.2). A power whose exponent is no number becomes exp(exponent * log(base)).
    Powers that are not whole are NaN for negative numbers, as everywhere in edgewise. `Max`, `Min`,
    `Heaviside` and a `Piecewise` of comparisons become sums with `abs` and `sign`, so all branches
    need a value everywhere. The network is as shallow as the nesting of the formula allows.

    Rounding is that of the formula evaluated as it is written: a relative error of some 1e-16 times
    the condition of its sums, which is large where terms nearly cancel (Higham 2002, sec. 1.7).

    It can be fitted to data: the constants of the formula are free, those that only pass a value on
    are not. To let it learn what the formula leaves out, `widen` it, or `unlock` some of its edges.

    Args:
        expr: A SymPy expression, a string such as `"sin(x) + y**2"`, or a sequence of them, one for
            each output. In a string every name is a variable, but `pi` and `E`, which are the
            numbers unless they are named in `inputs`.
        inputs: The inputs of the network in their order, as names or SymPy symbols; by default all
            variables by name, with numbers in them in the order of the numbers.
        library: The primitives; all powers are known without it.
        grid: The number of spline intervals, for edges that are unlocked or added later.
        degree: The degree of the splines.
        dtype: `torch.float64` or `torch.float32`.
        device: Where the parameters live.

    Returns:
        The network; edges that the formula does not need are off.

    Raises:
        ConfigError: If the text is no formula, a function is not in the library, a variable is
            not among the inputs, or a number is not real and finite.

    Example:
        >>> model = ew.compile_formula("exp(sin(pi * x_1) + x_2**2)")
        >>> model.widths
        [2, 1, 1]
        >>> expected = torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)
        >>> torch.allclose(model(x), expected, rtol=1e-14)
        True
    """
    texts = isinstance(expr, str) or not isinstance(expr, Sequence)
    given = [expr] if texts else list(expr)
    if not given:
        raise ConfigError("A network has at least one output: give at least one formula.")
    names = None if inputs is None else [str(symbol) for symbol in inputs]
    if names is not None and len(set(names)) != len(names):
        raise ConfigError(f"Every input has a name of its own, got {names}.")
    exprs, symbols = _with_symbols([_expression(e, names, library) for e in given], names)
    plan = Plan(Reader(library, symbols), symbols)
    layers = _Layers(plan, [plan.output(e) for e in exprs], len(symbols))
    model = KAN(layers.widths, grid=grid, degree=degree, dtype=dtype, device=device)
    return _fill(model, layers)


def _expression(given: Any, names: list[str] | None, library: Library) -> Any:
    import sympy

    if isinstance(given, str):
        return parse(given, names, library)
    try:
        found = sympy.sympify(given, strict=True)
    except sympy.SympifyError:
        found = None
    if not isinstance(found, sympy.Expr) or isinstance(found, sympy.Lambda) or found.is_Matrix:
        raise ConfigError(
            f"A formula is a SymPy expression or a string, got a {type(given).__name__}."
        )
    return found


def _with_symbols(exprs: list[Any], names: list[str] | None) -> tuple[list[Any], list[Any]]:
    """Let all variables be real, as data are, and put them in order."""
    import sympy

    found = {symbol.name for e in exprs for symbol in e.free_symbols}
    if names is None:
        names = sorted(found, key=_natural)
    elif found - set(names):
        missing = ", ".join(sorted(found - set(names), key=_natural))
        raise ConfigError(f"The formula has {missing}, and the inputs are {', '.join(names)}.")
    if not names:
        raise ConfigError(
            "The formula has no variables. Name the inputs of the network: "
            'compile_formula(expr, ["x"]).'
        )
    symbols = {name: sympy.Symbol(name, real=True) for name in names}
    real = [e.xreplace({s: symbols[s.name] for s in e.free_symbols}) for e in exprs]
    return real, list(symbols.values())


def _natural(name: str) -> list[Any]:
    """x_2 comes before x_10."""
    return [(part.isdigit(), int(part) if part.isdigit() else part) for part in _parts(name)]


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"(\d+)", name) if part]


class _Layers:
    """Put nodes into layers, and pass on what is needed further up.

    Args:
        plan: What tells the first layer of each node.
        outputs: The nodes that become outputs.
        inputs: How many inputs there are.
    """

    def __init__(self, plan: Plan, outputs: list[Sum | Product], inputs: int) -> None:
        self._plan = plan
        depth = max(1, *(plan.level(node) for node in outputs))
        products = [isinstance(node, Product) and plan.level(node) == depth for node in outputs]
        if products != sorted(products):  # outputs stay in their order, and sums come first
            depth += 1
        self._nodes: list[dict[Node, list[Sum]]] = [{} for _ in range(depth)]
        self._nodes[0] = {Input(index): [] for index in range(inputs)}
        self.outputs = [self._rows(node, depth) for node in outputs]
        for nodes in self._nodes[1:]:  # sums first, in the order in which they were asked for
            ordered = sorted(nodes.items(), key=lambda item: len(item[1]))
            nodes.clear()
            nodes.update(ordered)

    @property
    def widths(self) -> list[Width]:
        """The widths of the network."""
        layers = [list(nodes.values()) for nodes in self._nodes[1:]] + [self.outputs]
        arities = [[len(rows) for rows in layer] for layer in layers]
        return [
            len(self._nodes[0]),
            *(Nodes(n.count(1), [k for k in n if k > 1]).width for n in arities),
        ]

    def edges(self, depth: int) -> list[tuple[list[tuple[int, Term]], Any]]:
        """For each sum of a layer: edges, with the node that each leaves, and its constant."""
        source = {node: number for number, node in enumerate(self._nodes[depth])}
        last = depth + 1 == len(self._nodes)
        targets = self.outputs if last else list(self._nodes[depth + 1].values())
        sums = [row for rows in targets for row in rows]
        return [([(source[t.node], t) for t in row.terms], row.constant) for row in sums]

    def _place(self, node: Node, level: int) -> None:
        if node not in self._nodes[level]:
            self._nodes[level][node] = self._rows(node, level)

    def _rows(self, node: Node, level: int) -> list[Sum]:
        """The sums of a node in a layer, arranged; what they need is placed below."""
        if self._plan.level(node) < level or isinstance(node, Input):
            sums = [passed(node)]
        else:
            factors = node.factors if isinstance(node, Product) else (node,)
            # one node is passed on rather than several
            sums = [
                passed(s) if len(s.terms) > 1 and self._plan.level(s) < level else s
                for s in factors
            ]
        rows = []
        for each in sums:
            terms = self._plan.arrange(each) or (replace(line(Input(0), 0), passes=True),)
            for term in terms:
                self._place(term.node, level - 1)
            rows.append(Sum(terms, each.constant))
        return rows


@torch.no_grad()
def _fill(model: KAN, layers: _Layers) -> KAN:
    """Lock the edges of a network, and switch all others off."""
    for depth, (layer, _) in enumerate(model.parts()):
        layer.mask.fill_(False)
        layer.coef.zero_()
        last = depth == len(model.layers) - 1
        for j, (terms, constant) in enumerate(layers.edges(depth)):
            for number, (i, term) in enumerate(terms):
                d = constant if number == 0 else 0
                numbers = [_number(value) for value in (term.a, term.b, term.c, d)]
                free = _free(term, holds_constant=number == 0 and (last or d != 0))
                constants = layer.coef.new_tensor(numbers)
                layer.lock(j, i, Lock(term.primitive, constants, free.to(constants.device)))
    return model


def _number(value: Any) -> float:
    import sympy

    return float(sympy.N(value, 30))


def _free(term: Term, *, holds_constant: bool) -> Tensor:
    """Which of a, b, c, d are fitted: those that the primitive or the sum has no other for."""
    gauge = term.primitive.gauge
    a = gauge not in ("linear", "power", "log")
    b = gauge not in ("linear", "exp")
    if term.passes:
        a = b = False
    return torch.tensor([a, b, not term.passes, holds_constant])
