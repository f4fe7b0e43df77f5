r"""Jets: a network's value with its partial derivatives, carried forward layer by layer.

A jet u is propagated as truncated Taylor polynomials are (Griewank and Walther, *Evaluating
Derivatives*, 2nd ed. 2008, ch. 13). With :math:`h = u - u(x)`, which has no constant term, an edge
gives

.. math:: \phi(u) = \sum_m \phi^{(m)}(u(x)) \, h^m / m!,

whose components are the formula of Faà di Bruno: :math:`\phi' u_{jk} + \phi'' u_j u_k`, and so on.
The powers belong to the nodes and are shared by all edges that leave one; what is left for each
edge is a product with its derivatives. The same powers serve the way back: :math:`\phi(u)` changes
with u as :math:`\phi'(u) \, \delta u`, a product of jets, and with a coefficient as the same sum
with the basis in the place of :math:`\phi`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral
from typing import Any, NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise._arrays import like_tensor
from edgewise._errors import ConfigError, ShapeError
from edgewise._kernels import Columns, gram, pull
from edgewise._layer import KANLayer
from edgewise._network import KAN, Nodes

Partial: TypeAlias = tuple[int, ...]
"""A partial derivative: the inputs that it is taken in, in rising order; () is the value."""

_HIGHEST = 4
_CHUNK_ENTRIES = 400_000
"""How many derivatives of edges are held at a time: 3 MB in float64, which stay in the cache."""


@dataclass(frozen=True)
class Jet:
    """A network's outputs with their partial derivatives in the inputs.

    Attributes:
        components: All of it, (batch, outputs, components); `partials` tells which is which.
        partials: The inputs that each component is a derivative in: () for the value, (0,) for the
            first derivative in input 0, (0, 0) for the second.
        inputs: The number of inputs.
    """

    components: Float[Tensor, "batch outputs components"]
    partials: tuple[Partial, ...]
    inputs: int

    @property
    def order(self) -> int:
        """The highest derivative that is there."""
        return max(map(len, self.partials))

    @property
    def mixed(self) -> bool:
        """Whether second derivatives in two different inputs are there."""
        return self.inputs == 1 or (0, 1) in self.partials

    @property
    def value(self) -> Float[Tensor, "batch outputs"]:
        """The outputs."""
        return self.components[..., 0]

    @property
    def gradient(self) -> Float[Tensor, "batch outputs inputs"]:
        """The first derivatives."""
        return self._pure(1)

    @property
    def second(self) -> Float[Tensor, "batch outputs inputs"]:
        """The second derivative in each input: the diagonal of the Hessian."""
        return self._pure(2)

    @property
    def third(self) -> Float[Tensor, "batch outputs inputs"]:
        """The third derivative in each input."""
        return self._pure(3)

    @property
    def fourth(self) -> Float[Tensor, "batch outputs inputs"]:
        """The fourth derivative in each input."""
        return self._pure(4)

    @property
    def hessian(self) -> Float[Tensor, "batch outputs inputs inputs"]:
        """All second derivatives.

        Raises:
            ConfigError: If the jet has no mixed derivatives.
        """
        inputs = range(self.inputs)
        where = [self._find((min(j, k), max(j, k))) for j in inputs for k in inputs]
        return self.components[..., where].unflatten(-1, (self.inputs, self.inputs))

    def partial(self, *inputs: int) -> Float[Tensor, "batch outputs"]:
        """Give one partial derivative: `partial(0, 0)` is the second in input 0.

        Raises:
            ConfigError: If the jet does not have it.
        """
        return self.components[..., self._find(tuple(sorted(inputs)))]

    def _pure(self, order: int) -> Tensor:
        first = self._find((0,) * order)
        return self.components[..., first : first + self.inputs]

    def _find(self, partial: Partial) -> int:
        if partial in self.partials:
            return self.partials.index(partial)
        if any(not 0 <= j < self.inputs for j in partial):
            raise ConfigError(f"The inputs are 0 to {self.inputs - 1}, got {partial}.")
        if len(set(partial)) > 1:
            has, ask = "no mixed derivatives", "mixed=True"
            if len(partial) > 2:
                raise ConfigError(
                    f"A jet has mixed derivatives of the second order only, got {partial}."
                )
        else:
            has, ask = f"derivatives up to order {self.order}", f"order={len(partial)}"
        raise ConfigError(f"This jet has {has}, {partial} is not there. Ask for jet(..., {ask}).")


def jet(model: KAN, x: Any, order: int = 2, *, mixed: bool = False) -> Jet:
    r"""Evaluate a network together with its derivatives in the inputs.

    All derivatives move through the layers with the value, from the derivatives of the edges, which
    are known in closed form (Faà di Bruno; Griewank and Walther 2008, ch. 13): no graph is built
    and nothing is differentiated twice. Where gradients are enabled (they are, by default) the
    result can be differentiated by the parameters and by x; under `torch.no_grad()` the compiled
    core does the work, many times faster.

    The function has continuous derivatives up to the order degree - 1 only: take splines of a
    degree well above `order`. Outside its grid an edge is a line, with second derivative zero.

    Args:
        model: The network; it is not changed.
        x: Points, (batch, inputs): a tensor or a NumPy array.
        order: The highest derivative in each input, 1 to 4.
        mixed: Whether the second derivatives in two different inputs are wanted, too: the whole
            Hessian instead of its diagonal.

    Returns:
        The jet: its `value`, `gradient`, `second`, `third`, `fourth`, `hessian`.

    Raises:
        ConfigError: If `order` is not from 1 to 4, or is 1 with `mixed`.
        ShapeError: If x is not of shape (batch, inputs).
        DataError: If x does not hold numbers, or is a tensor of another dtype than the parameters.

    Example:
        >>> with torch.no_grad():
        ...     u = ew.jet(model, x)
        >>> laplacian = u.second.sum(-1)
        >>> u.value.shape, u.gradient.shape, laplacian.shape
        (torch.Size([100, 1]), torch.Size([100, 1, 2]), torch.Size([100, 1]))
        >>> torch.equal(u.partial(1, 1), u.second[..., 1])
        True
    """
    x = like_tensor("x", x, model.parts()[0][0].coef)
    _check(model, x, order, mixed)
    rule = Leibniz.of(model.in_features, order, mixed)
    if torch.is_grad_enabled():
        return _jet(_forward(model, x, rule, rows=False)[0], rule)
    largest = max(layer.coef[..., 0].numel() for layer, _ in model.parts())
    chunks = x.split(max(1, _CHUNK_ENTRIES // (largest * (order + 1))))
    parts = [_forward(model, chunk, rule, rows=False)[0] for chunk in chunks]
    return _jet(torch.cat(parts, 1), rule)


@dataclass(frozen=True)
class LinearJet:
    r"""A jet, and how it changes with the parameters, without autograd.

    The parameters are in the order of `ParameterVector`: for each layer the coefficients of its
    numeric edges, then the free constants of each lock.

    Attributes:
        jet: The jet.
    """

    jet: Jet
    _model: KAN
    _rule: Leibniz
    _steps: list[Step]

    @torch.no_grad()
    def columns(self, weights: Float[Tensor, "batch rows outputs components"]) -> list[Columns]:
        r"""Give what linear functionals of the jet have in the Jacobian by the parameters.

        A coefficient of an edge enters the jet of sum o through the jet of a basis function of
        node i. With the functional's derivative a in the jet of sum o, its column is

        .. math:: \sum_\alpha a_\alpha \, \partial_\alpha B_b(u) =
                  \sum_m B_b^{(m)} \sum_\alpha a_\alpha (h^m / m!)_\alpha.

        This still has the local support of the basis, but is no outer product any more: each edge
        has values of its own, for each row.

        Args:
            weights: The derivative of each row in each component of the jet.

        Returns:
            Columns whose samples are the rows of all points, (batch * rows), with a signal of one:
            for `gram` as they are, for `pull` with the residuals as signal.

        Raises:
            ShapeError: If the weights have another shape.
        """
        batch, outputs, components = self.jet.components.shape
        if weights.ndim != 4 or (len(weights), *weights.shape[2:]) != (batch, outputs, components):
            raise ShapeError(
                f"weights must have the shape ({batch}, rows, {outputs}, {components}), one for "
                f"each component of the jet. Got {tuple(weights.shape)}."
            )
        a = weights.permute(1, 3, 0, 2)  # (rows, components, batch, outputs)
        pieces: list[Columns] = []
        for depth in reversed(range(len(self._steps))):
            layer, nodes = self._model.parts()[depth]
            step = self._steps[depth]
            a = _nodes_backward(nodes, a, step.sums, self._rule)
            pieces[:0] = _columns(layer, step, a, self._rule)
            if depth:
                a = layer_backward(step, a, self._rule)
        return pieces

    def rows(
        self, weights: Float[Tensor, "batch rows outputs components"]
    ) -> Float[Tensor, "batch rows parameters"]:
        """Write the Jacobian of linear functionals of the jet by the parameters out."""
        dense = torch.cat([piece.dense() for piece in self.columns(weights)], -1)
        return dense.reshape(*weights.shape[:2], -1)

    def add_to(
        self,
        H: Float[Tensor, "parameters parameters"],
        g: Float[Tensor, " parameters"],
        weights: Float[Tensor, "batch rows outputs components"],
        residuals: Float[Tensor, "batch rows"],
    ) -> None:
        """Add J^T J to the upper triangle of H (see `gram`), and J^T r to g, in place."""
        columns = self.columns(weights)
        gram(columns, H)
        signal = residuals.reshape(-1, 1, 1)
        g += torch.cat([pull(piece._replace(signal=signal)) for piece in columns])


@torch.no_grad()
def linear_jet(
    model: KAN, x: Float[Tensor, "batch inputs"], order: int = 2, *, mixed: bool = False
) -> LinearJet:
    """Evaluate a jet and keep what `LinearJet.columns` needs; the arguments are those of `jet`.

    What is kept grows with the batch, by (order + 2) numbers for each edge: give chunks of some
    thousand points. The model must not change before the columns are taken.
    """
    _check(model, x, order, mixed)
    rule = Leibniz.of(model.in_features, order, mixed)
    components, steps = _forward(model, x, rule, rows=True)
    return LinearJet(_jet(components, rule), model, rule, steps)


def _check(model: KAN, x: Tensor, order: int, mixed: bool) -> None:
    """Check the arguments of `jet`."""
    if not isinstance(order, Integral) or not 1 <= order <= _HIGHEST:
        raise ConfigError(f"order must be a whole number from 1 to {_HIGHEST}, got {order}.")
    if mixed and order < 2:
        raise ConfigError(f"Mixed derivatives are of the second order, got order={order}.")
    if x.ndim != 2 or x.shape[1] != model.in_features:
        raise ShapeError(
            f"This network takes inputs of shape (batch, {model.in_features}), "
            f"got {tuple(x.shape)}."
        )


# the algebra of jets; they have the shape (components, batch, nodes)


class _Terms(NamedTuple):
    """Terms of products of jets: component `left` times component `right`, so often."""

    whole: Int[Tensor, " terms"]
    left: Int[Tensor, " terms"]
    right: Int[Tensor, " terms"]
    times: Int[Tensor, " terms"]

    def multiply(self, f: Tensor, g: Tensor) -> Tensor:
        """Multiply two jets."""
        terms = f[self.left] * g[self.right] * self._factors(f)
        return f.new_zeros(f.shape).index_add(0, self.whole.to(f.device), terms)

    def carry_back(self, a: Float[Tensor, "rows components batch nodes"], g: Tensor) -> Tensor:
        """Carry derivatives in the product back to those in the left factor, g being the right."""
        terms = a[:, self.whole] * (g[self.right] * self._factors(g))
        return a.new_zeros(a.shape).index_add(1, self.left.to(a.device), terms)

    def _factors(self, like: Tensor) -> Tensor:
        return self.times.to(like).reshape(-1, 1, 1)


@dataclass(frozen=True)
class Leibniz:
    """Which partial derivatives a jet has, and the rule by which they multiply.

    Attributes:
        partials: The partial derivatives, by their order; the mixed ones after the pure ones.
        inputs: The number of inputs.
        order: The highest derivative.
        pairs: The number of mixed derivatives.
        offsets: For each order m the first component of at least this order.
        full: The terms of a product.
        inner: Those without a value on either side.
        outer: Those without a value on the right.
    """

    partials: tuple[Partial, ...]
    inputs: int
    order: int
    pairs: int
    offsets: tuple[int, ...]
    full: _Terms
    inner: _Terms
    outer: _Terms

    @staticmethod
    @lru_cache
    def of(inputs: int, order: int, mixed: bool) -> Leibniz:
        """Take the pure derivatives up to an order, and the mixed ones of the second."""
        partials: list[Partial] = [()]
        for m in range(1, order + 1):
            partials += [(j,) * m for j in range(inputs)]
            if m == 2 and mixed:
                partials += itertools.combinations(range(inputs), 2)
        number = {partial: n for n, partial in enumerate(partials)}
        terms = Counter(
            (whole, number[left], number[right])
            for whole, partial in enumerate(partials)
            for left, right in _splits(partial)
        )
        return Leibniz(
            partials=tuple(partials),
            inputs=inputs,
            order=order,
            pairs=inputs * (inputs - 1) // 2 if mixed else 0,
            offsets=tuple(
                next(n for n, partial in enumerate(partials) if len(partial) >= m)
                for m in range(order + 1)
            ),
            full=_table(terms.items()),
            inner=_table(term for term in terms.items() if term[0][1] and term[0][2]),
            outer=_table(term for term in terms.items() if term[0][2]),
        )

    def powers(self, u: Float[Tensor, "components batch nodes"]) -> list[Tensor]:
        """Give h^m / m! for m from 1 on, h being u without its value.

        Components of an order below m are zero.
        """
        h = torch.cat([torch.zeros_like(u[:1]), u[1:]])
        powers = [h]
        for m in range(2, self.order + 1):
            powers.append(self.inner.multiply(h, powers[-1]) / m)
        return powers


def _splits(partial: Partial) -> Iterable[tuple[Partial, Partial]]:
    """All ways to give each derivative to one of two factors."""
    for sides in itertools.product((True, False), repeat=len(partial)):
        yield (
            tuple(j for j, left in zip(partial, sides, strict=True) if left),
            tuple(j for j, left in zip(partial, sides, strict=True) if not left),
        )


def _table(terms: Iterable[tuple[tuple[int, int, int], int]]) -> _Terms:
    rows = [(*places, times) for places, times in terms]
    return _Terms(*torch.tensor(rows, dtype=torch.int64).reshape(-1, 4).unbind(-1))


def _jet(components: Float[Tensor, "components batch outputs"], rule: Leibniz) -> Jet:
    return Jet(components.permute(1, 2, 0), rule.partials, rule.inputs)


# the way forward


class Step(NamedTuple):
    """What the way forward through a layer leaves for the way back."""

    edges: Tensor  # (derivatives, batch, sums, inputs)
    powers: list[Tensor]  # for m = 1 ... order (components, batch, inputs); none in the first layer
    sums: Tensor  # (components, batch, sums)
    start: Tensor  # (batch, inputs)
    basis: Tensor  # (derivatives, batch, inputs, support)
    by_constant: list[Tensor]  # for each lock (derivatives, batch, free)


def _forward(
    model: KAN, x: Tensor, rule: Leibniz, *, rows: bool
) -> tuple[Float[Tensor, "components batch outputs"], list[Step]]:
    """Carry a jet through the network; for its rows, keep the steps."""
    u, steps = x.unsqueeze(0), []
    for depth, (layer, nodes) in enumerate(model.parts()):
        at = u[0]
        edges = layer.derivatives(at, rule.order + 1 if rows and depth else rule.order)
        powers = rule.powers(u) if depth else []
        sums = edge_sums(edges, powers, rule) if depth else first_sums(edges, rule)
        if rows:
            start, basis = layer.basis.local_derivatives(at, rule.order)
            by_constant = [
                lock.derivative_columns(at[:, i], rule.order)[..., lock.free]
                for (_, i), lock in layer.locked()
            ]
            steps.append(Step(edges, powers, sums, start, basis, by_constant))
        u = nodes_forward(nodes, sums, rule)
    return u, steps


def edge_sums(edges: Tensor, powers: list[Tensor], rule: Leibniz) -> Tensor:
    """The jets of all edges, summed: (components, batch, sums)."""
    derivatives = torch.einsum("boi,cbi->cbo", edges[1], powers[0][1:])
    for m, power in enumerate(powers[1:], 2):
        begin = rule.offsets[m]
        higher = torch.einsum("boi,cbi->cbo", edges[m], power[begin:])
        derivatives = torch.cat([derivatives[: begin - 1], derivatives[begin - 1 :] + higher])
    value = edges[0] @ edges.new_ones(edges.shape[-1])
    return torch.cat([value.unsqueeze(0), derivatives])


def first_sums(edges: Tensor, rule: Leibniz) -> Tensor:
    """The same where the jets are the inputs themselves: a derivative in one has one edge."""
    value = edges[0] @ edges.new_ones(rule.inputs)
    pure = [edges[m].permute(2, 0, 1) for m in range(1, rule.order + 1)]
    pure.insert(2, value.new_zeros((rule.pairs, *value.shape)))  # mixed ones come after the second
    return torch.cat([value.unsqueeze(0), *pure])


def nodes_forward(nodes: Nodes, sums: Tensor, rule: Leibniz) -> Tensor:
    if not nodes.products:
        return sums
    product, *others = nodes.factors(sums, _one(sums))
    for factor in others:
        product = rule.full.multiply(product, factor)
    return torch.cat([sums[..., : nodes.sums], product], -1)


def _one(like: Tensor) -> Tensor:
    """The jet of the number 1."""
    one = torch.zeros_like(like[..., :1])
    one[0] = 1
    return one


# the way back; derivatives of rows in jets have the shape (rows, components, batch, nodes)


def _nodes_backward(nodes: Nodes, a: Tensor, sums: Tensor, rule: Leibniz) -> Tensor:
    if not nodes.products:
        return a
    one = _one(sums)
    factors = nodes.factors(sums, one)
    before, after = [one.expand_as(factors[0])], [one.expand_as(factors[0])]
    for factor, last in zip(factors[:-1], factors[:0:-1], strict=True):
        before.append(rule.full.multiply(before[-1], factor))
        after.append(rule.full.multiply(after[-1], last))
    by_node = a[..., nodes.sums :]
    by_factor = [
        rule.full.carry_back(by_node, rule.full.multiply(left, right))
        for left, right in zip(before, after[::-1], strict=True)
    ]
    return nodes.spread(a[..., : nodes.sums], by_factor)


def layer_backward(step: Step, a: Tensor, rule: Leibniz) -> Tensor:
    """From derivatives in the jets of the sums to those in the jets of the layer's inputs."""
    below = torch.einsum("rcbo,boi->rcbi", a, step.edges[1])
    for m, power in enumerate(step.powers, 1):
        below = below + rule.outer.carry_back(
            torch.einsum("rcbo,boi->rcbi", a, step.edges[m + 1]), power
        )
    return below


def _columns(layer: KANLayer, step: Step, a: Tensor, rule: Leibniz) -> list[Columns]:
    """The layer's columns: those of its splines, then those of each lock's constants."""
    rows, _, batch, sums = a.shape
    weights = weights_of_derivatives(step, a, rule)
    values = weights[0].unsqueeze(-1) * step.basis[0].reshape(batch, 1, -1, 1, step.basis.shape[-1])
    for weight, basis in zip(weights[1:], step.basis[1:], strict=True):
        values.addcmul_(weight.unsqueeze(-1), basis.reshape(batch, 1, -1, 1, basis.shape[-1]))
    # values: (batch, rows, inputs, sums, support)
    start = step.start.reshape(batch, 1, -1, 1).expand(-1, rows, -1, sums)
    o, i = layer.mask.nonzero().unbind(-1)
    edges = torch.stack([torch.zeros_like(o), i * sums + o], -1)
    one = a.new_ones((batch * rows, 1, 1))
    start, values = start.reshape(batch * rows, -1), values.flatten(2, 3).flatten(0, 1)
    pieces = [Columns(start, values, one, edges, layer.basis.size)]
    for ((o, i), _), by_constant in zip(layer.locked(), step.by_constant, strict=True):
        weight = torch.stack([weight[..., i, o] for weight in weights])
        values = torch.einsum("mbr,mbk->brk", weight, by_constant).flatten(0, 1)
        nothing = step.start.new_zeros((batch * rows, 1))
        edge = step.start.new_zeros((1, 2))
        pieces.append(Columns(nothing, values.unsqueeze(1), one, edge, values.shape[-1]))
    return pieces


def weights_of_derivatives(step: Step, a: Tensor, rule: Leibniz) -> list[Tensor]:
    """What each derivative of an edge weighs in a row: for each (batch, rows, inputs, sums)."""
    inputs = step.edges.shape[-1]
    weights = [a[:, 0].transpose(0, 1).unsqueeze(2).expand(-1, -1, inputs, -1)]
    for m, begin in enumerate(rule.offsets[1:], 1):
        if step.powers:
            power = step.powers[m - 1][begin:]
            weights.append(torch.einsum("rcbo,cbi->brio", a[:, begin:], power))
        else:  # in the first layer component `begin + i` is the m-th derivative in input i
            weights.append(a[:, begin : begin + inputs].permute(2, 0, 1, 3))
    return weights
