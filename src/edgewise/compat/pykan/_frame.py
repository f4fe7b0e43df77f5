r"""pykan's objective near a point: its value, its gradient and its Gauss–Newton matrix.

The penalty is a function of the edges' standard deviations s; its gradient is exact. Its second
derivatives are those of `stiffness`: steps along the penalty are short, and the labels decide which
edges stay.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from edgewise._kernels import Columns, gram, mirror, pull
from edgewise.compat.pykan._objective import Curved, Measured, Slopes, Task, stiffness
from edgewise.compat.pykan._trace import Layer, Trace

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN


class Point(NamedTuple):
    """The objective at some parameters: infinite where there is none."""

    value: float
    loss: Tensor
    traces: list[Trace]
    edges: list[tuple[Tensor, Tensor]]
    measured: Measured | None = None
    slopes: Slopes | None = None
    """Those of the penalty, if there is one."""


class Frame:
    """A network whose masks and grids stay as they are, and rows."""

    def __init__(self, model: MultKAN, task: Task) -> None:
        self.model, self.task = model, task
        self.layers = [Layer(model, n, task.guard) for n in range(model.depth)]
        self.places = Places()
        self.at = [self._place_edges(layer) for layer in self.layers]
        self._place_bases()
        self.of_function = [self._place_functions(layer) for layer in self.layers]
        for n, layer in enumerate(self.layers):
            if layer.affine:
                self._place_affine(n)

    def _place_edges(self, layer: Layer) -> Tensor:
        """Say where splines stand; give the places of edges (sums, inputs, n + 1), or -1."""
        outputs, inputs = layer.base_factor.shape
        coef = layer.act.coef
        at = torch.full((outputs, inputs, layer.size + 1), -1, device=coef.device)
        each = torch.arange(layer.size, device=at.device)
        j, i = layer.splines.unbind(1)
        index = ((i * outputs + j).unsqueeze(1) * layer.size + each).flatten()
        factor = layer.spline_factor[j, i].repeat_interleave(layer.size)
        at[j, i, :-1] = self.places.add(coef, index, factor).view(-1, layer.size)
        return at

    def _place_bases(self) -> None:
        for at, layer in zip(self.at, self.layers, strict=True):
            j, i = layer.bases.unbind(1)
            index, factor = i * len(layer.base_factor) + j, layer.base_factor[j, i]
            at[j, i, -1] = self.places.add(layer.act.scale_base, index, factor)

    def _place_functions(self, layer: Layer) -> list[Tensor]:
        symbolic, found = layer.symbolic, []
        for j, i in layer.trained():
            first = 4 * (j * symbolic.in_dim + i)
            index = torch.arange(first, first + 4, device=symbolic.device)
            found.append(self.places.add(symbolic.affine, index))
        return found

    def _place_affine(self, n: int) -> None:
        model = self.model
        for scale, bias in (
            (model.subnode_scale[n], model.subnode_bias[n]),
            (model.node_scale[n], model.node_bias[n]),
        ):
            every = torch.arange(scale.numel(), device=scale.device)
            self.places.add(scale, every)
            self.places.add(bias, every)

    def evaluate(self) -> Point:
        """Evaluate the objective at the present parameters."""
        task, x, traces = self.task, self.task.x, []
        for layer in self.layers:
            traces.append(layer.forward(x))
            x = traces[-1].nodes
        loss = task.loss(x)
        point = Point(math.inf, loss, traces, [])
        value = loss
        if task.lamb > 0:
            point = self.measure(point)
            assert point.measured is not None
            slopes = task.slopes(self.model, point.measured)
            point = point._replace(slopes=slopes)
            value = loss + slopes.value
        value = float(value)
        return point._replace(value=value if math.isfinite(value) else math.inf)

    def measure(self, point: Point) -> Point:
        """Add what the penalty is made of."""
        from edgewise.compat.pykan._network import deviation

        edges = [trace.edges(self.task.whole) for trace in point.traces]
        measured = Measured(
            [deviation(values) for values, _ in edges],
            [deviation(trace.x) for trace in point.traces],
            [deviation(trace.sums) for trace in point.traces if self.task.backward],
            [layer.act.coef.detach() for layer in self.layers],
        )
        return point._replace(edges=edges, measured=measured)

    def charge(self, point: Point) -> Tensor:
        """Give the penalty at the present parameters, which are those of a point."""
        if point.slopes is not None:
            return point.slopes.value / self.task.lamb
        measured = self.measure(point).measured
        assert measured is not None
        return self.task.charge(self.model, measured)

    def linearize(self, point: Point) -> System:
        """Give the gradient and the matrix of the objective near a point."""
        task, rows = self.task, len(self.task.x)
        assert isinstance(task.rule, Curved)
        output = point.traces[-1].nodes
        root = task.rule.root(output, task.y) / math.sqrt(rows)
        signal = torch.cat([root, task.rule.gradient(output, task.y).unsqueeze(1)], 1)
        slopes = point.slopes
        kinds: list[list[list[Columns]]] = []  # by layer, from the last on
        charges: list[Charge] = []
        for n in reversed(range(len(self.layers))):
            layer, trace = self.layers[n], point.traces[n]
            by_subnode, d = layer.back(trace, signal)
            own = layer.columns(trace, d)
            if layer.affine:
                own.append(_affine(trace.sums, by_subnode) + _affine(trace.products, signal))
            kinds.append(own)
            signal = layer.through(trace, d) if n or slopes else signal
            if slopes is not None:
                charges.append(self._charge(point, n, slopes, signal))
        in_order = [
            piece
            for kind in itertools.zip_longest(*kinds[::-1], fillvalue=[])
            for pieces in kind
            for piece in pieces
        ]
        pieces = join(in_order)
        g = torch.cat([pull(p._replace(signal=p.signal[:, -1:])) for p in pieces])
        H = g.new_zeros(len(g), len(g))
        gram([p._replace(signal=p.signal[:, :-1]) for p in pieces], H)
        for n, charge in enumerate(charges[::-1]):
            there = self.at[n] >= 0
            g[self.at[n][there]] += charge.pull[there]
            for at, constants in zip(self.of_function[n], charge.constants, strict=False):
                g[at] += constants
        return System(mirror(H), g, [form for charge in charges for form in charge.forms])

    def _charge(self, point: Point, n: int, slopes: Slopes, signal: Tensor) -> Charge:
        """Give what the penalty adds for a layer; what it adds in its inputs goes into signal."""
        layer, trace, rows = self.layers[n], point.traces[n], len(self.task.x)
        assert point.measured is not None
        sizes, spreads = point.measured.sizes[n], point.measured.spreads[n]
        (edges, steepness), by_size = point.edges[n], slopes.by_sizes[n]
        share = by_size / (max(rows - 1, 1) * sizes.clamp_min(1e-300))
        pushed = share * (edges - edges.mean(0))  # (batch, sums, inputs)
        by_spread = slopes.by_spreads[n] / (max(rows - 1, 1) * spreads.clamp_min(1e-300))
        signal[:, -1] += (pushed * steepness).sum(1) + by_spread * (trace.x - trace.x.mean(0))
        each = layer.functions(trace)  # (batch, inputs, n + 1)
        pull = torch.einsum("bik,boi->oik", each, pushed)
        factor = layer.spline_factor.unsqueeze(-1)
        pull[..., :-1] += torch.where(factor != 0, slopes.by_coefs[n].transpose(0, 1) / factor, 0.0)
        own = layer.fitted(trace) if self.task.whole else []
        constants = [pushed[:, edge.j, edge.i] @ edge.by_constant for edge in own]
        there = self.at[n] >= 0
        j, i = there.any(-1).nonzero().unbind(1)
        if not len(j):
            return Charge(pull, constants, [])
        covariance = torch.einsum("bik,bil->ikl", each, each) / max(rows - 1, 1)
        weight = stiffness(by_size, sizes)
        there = there[j, i]
        blocks = weight[j, i, None, None] * covariance[i] * there.unsqueeze(1) * there.unsqueeze(2)
        forms = [(self.at[n][j, i].clamp_min(0), blocks)]
        return Charge(pull, constants, forms + self._coefficient_forms(n))

    def _coefficient_forms(self, n: int) -> list[tuple[Tensor, Tensor]]:
        """The second derivatives of the penalty on coefficients, touched from above."""
        _, _, coef_weight, diff_weight = self.task.weights
        layer = self.layers[n]
        j, i = layer.splines.unbind(1)
        if not (coef_weight or diff_weight) or not len(j):
            return []
        coef, factor = layer.act.coef.detach()[i, j], layer.spline_factor[j, i]
        at, share = self.at[n][j, i, :-1], self.task.lamb / layer.act.out_dim / factor.square()
        forms = []
        if coef_weight:
            weight = share.unsqueeze(1) * coef_weight / coef.abs().clamp_min(1e-4)
            forms.append((at, torch.diag_embed(weight)))
        if diff_weight:
            D = torch.eye(layer.size, dtype=coef.dtype, device=coef.device).diff(dim=0)
            weight = share.unsqueeze(1) * diff_weight / (coef @ D.T).abs().clamp_min(1e-4)
            forms.append((at, torch.einsum("ek,kn,km->enm", weight, D, D)))
        return forms


class Charge(NamedTuple):
    """What the penalty has in a layer."""

    pull: Tensor  # (sums, inputs, n + 1): its gradient in splines and bases
    constants: list[Tensor]  # (4,) each: its gradient in the constants of functions
    forms: list[tuple[Tensor, Tensor]]  # places (edges, n), second derivatives (edges, n, n)


def _affine(before: Tensor, d: Tensor) -> list[Columns]:
    """Give the columns of the scales and biases of nodes with the derivatives d."""
    every = torch.arange(before.shape[1], device=before.device)
    edges, start = torch.stack([every, every], 1), torch.zeros_like(before, dtype=torch.int64)
    return [
        Columns(start, values.unsqueeze(-1), d, edges, 1)
        for values in (before, torch.ones_like(before))
    ]


def join(pieces: list[Columns]) -> list[Columns]:
    """Make one of neighbors whose functions have the same form: sums of few pieces are faster."""
    joined: list[Columns] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        form = piece.size, piece.values.shape[2]
        if last is None or form != (last.size, last.values.shape[2]):
            joined.append(piece)
            continue
        shift = torch.tensor([last.signal.shape[2], last.start.shape[1]], device=piece.edges.device)
        joined[-1] = Columns(
            torch.cat([last.start, piece.start], 1),
            torch.cat([last.values, piece.values], 1),
            torch.cat([last.signal, piece.signal], 2),
            torch.cat([last.edges, piece.edges + shift]),
            piece.size,
        )
    return joined


class Places:
    """The trained numbers of a network as one vector."""

    def __init__(self) -> None:
        self.items: list[tuple[Tensor, Tensor, Tensor | float]] = []
        self.size = 0

    def add(self, parameter: Tensor, index: Tensor, factor: Tensor | float = 1.0) -> Tensor:
        """Add the numbers at flat positions of a parameter, with what they are multiplied by.

        Returns:
            Where they stand.
        """
        if index.numel():
            self.items.append((parameter, index, factor))
        begin, self.size = self.size, self.size + index.numel()
        return torch.arange(begin, self.size, device=index.device)

    def read(self) -> Tensor:
        """Copy the numbers, without the factors."""
        if not self.items:
            return torch.zeros(0)
        return torch.cat([p.detach().reshape(-1)[index] for p, index, _ in self.items])

    def write(self, start: Tensor, delta: Tensor) -> None:
        """Set the numbers to those that `read` gave, and a step in their products with factors."""
        begin = 0
        for parameter, index, factor in self.items:
            part = slice(begin, begin + index.numel())
            parameter.data.view(-1)[index] = start[part] + delta[part] / factor
            begin = part.stop


class System:
    """The objective near the present parameters."""

    def __init__(self, H: Tensor, g: Tensor, extra: list[tuple[Tensor, Tensor]]) -> None:
        self.H, self.g = H, g
        largest = float(H.diagonal().max()) if len(g) else 0.0
        for at, blocks in extra:  # (edges, n), (edges, n, n)
            rows, columns = at.unsqueeze(2).expand_as(blocks), at.unsqueeze(1).expand_as(blocks)
            H.index_put_((rows, columns), blocks, accumulate=True)
        self.scale = H.diagonal().clamp_min(1e-12 * largest if largest > 0 else 1.0)

    def solve(self, damping: float) -> Tensor | None:
        """Give the step, or None if the matrix is not positive definite."""
        damped = self.H.clone()
        damped.diagonal().add_(damping * self.scale)
        L, failed = torch.linalg.cholesky_ex(damped)
        if int(failed):
            return None
        return torch.cholesky_solve(-self.g.unsqueeze(1), L).squeeze(1)

    def foreseen(self, delta: Tensor) -> float:
        """How much lower the quadratic model is after the step."""
        return -float(self.g @ delta + 0.5 * delta @ (self.H @ delta))
