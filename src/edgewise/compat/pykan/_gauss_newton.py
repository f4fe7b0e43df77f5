r"""Steps on pykan's objective: Levenberg–Marquardt, or what torch has.

With d the derivative of an output in the sum that an edge enters, the columns of the Jacobian are
:math:`m\,d\,(B_1(x), \ldots, B_n(x), b(x))`: edges are linear in their coefficients. The penalty
is a function of the edges' standard deviations s; its gradient is exact, and its second derivatives
are those of the quadratic function that touches it from above, w s² / (2 s0) for w s.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgewise._kernels._splines import dense_splines
from edgewise.compat.pykan._layers import project, zero

if TYPE_CHECKING:
    from edgewise.compat.pykan._network import MultKAN, Pass

_ENTRIES = 60_000_000
_MOST = 1000
"""With more parameters a step takes longer than what it saves."""


class Rule(ABC):
    """A loss: a mean over rows."""

    @abstractmethod
    def loss(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give the mean."""


class Curved(Rule):
    """A loss whose second derivatives are known."""

    @abstractmethod
    def root(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give R (batch, rows, outputs), where R^T R / batch are the second derivatives."""

    @abstractmethod
    def spread(self, y: Tensor) -> float:
        """Give the loss of the best constant."""


class Squares(Curved):
    """The mean square over rows and outputs."""

    def loss(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give the mean."""
        return (prediction - y.reshape(prediction.shape)).square().mean()

    def root(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give multiples of the identity."""
        n = prediction.shape[1]
        eye = torch.eye(n, dtype=prediction.dtype, device=prediction.device)
        return (eye * math.sqrt(2 / n)).expand(len(prediction), n, n)

    def spread(self, y: Tensor) -> float:
        """Give the variance."""
        return float((y - y.mean(0)).square().mean())


class Classes(Curved):
    """The cross-entropy of class labels."""

    def loss(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give the mean."""
        return nn.functional.cross_entropy(prediction, y)

    def root(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give R with R^T R = diag(p) - p p^T."""
        p = prediction.softmax(1)
        return torch.diag_embed(p.sqrt()) - p.sqrt().unsqueeze(2) * p.unsqueeze(1)

    def spread(self, y: Tensor) -> float:
        """Give the entropy of the labels."""
        share = torch.bincount(y).double() / len(y)
        return -float(torch.xlogy(share, share).sum())


class Other(Rule):
    """A function of the caller's."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.function = function

    def loss(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Give its value."""
        return self.function(prediction, y)


@dataclass(frozen=True)
class Task:
    """Rows, a loss and a penalty."""

    x: Tensor
    y: Tensor
    rule: Rule
    lamb: float
    weights: tuple[float, float, float, float]
    metric: str
    singularity_avoiding: bool
    y_th: float

    @property
    def guard(self) -> tuple[bool, float]:
        """What `walk` wants to know of singularities."""
        return self.singularity_avoiding, self.y_th

    def part(self, rows: Tensor) -> Task:
        """Take some rows."""
        return replace(self, x=self.x[rows], y=self.y[rows])

    def loss(self, prediction: Tensor) -> Tensor:
        """Give the mean loss."""
        return self.rule.loss(prediction, self.y)

    def penalize(self, model: MultKAN, passes: list[Pass]) -> tuple[Tensor, list[Tensor]]:
        """Give the penalty, and the standard deviations of edges that it is made of."""
        from edgewise.compat.pykan._network import coefficients, deviation, penalty
        from edgewise.compat.pykan._surgery import backward_scores

        whole = self.metric not in ("edge_forward_spline_n", "edge_forward_spline_u")
        sizes, spreads = [], []
        for p in passes:
            assert p.numeric is not None
            named = p.symbolic if whole else None
            sizes.append(deviation(p.numeric if named is None else p.numeric + named))
            spreads.append(deviation(p.x) + 0.1)
        if self.metric in ("edge_forward_spline_n", "edge_forward_sum"):
            scales = [size / spread for size, spread in zip(sizes, spreads, strict=True)]
        elif self.metric == "edge_forward_spline_u":
            scales = sizes
        else:
            sums = [deviation(p.sums).detach() for p in passes]
            if self.metric == "edge_backward":
                scales = [e.mean(0) for e in backward_scores(model, sizes, sums).edges]
            else:
                nodes = backward_scores(model, sizes, sums).nodes
                scales = [
                    backward_scores(model, sizes[:n], sums[:n], nodes[n].mean(0)).nodes[0]
                    for n in range(1, model.depth + 1)
                ]
        l1, entropy, coef, diff = self.weights
        total = penalty(scales, l1, entropy)
        layers = [act.coef for act, _ in model.parts()]
        return total + coefficients(layers, coef, diff), sizes


class Stepper(ABC):
    """A way to make the objective smaller, step by step."""

    @abstractmethod
    def step(self, task: Task) -> float:
        """Change the model, and give the objective."""

    def forget(self) -> None:
        """Drop what was learned of the objective: the grids have moved."""
        return


class Torch(Stepper):
    """An optimizer of torch."""

    def __init__(self, model: MultKAN, optimizer: torch.optim.Optimizer) -> None:
        self.model, self.optimizer = model, optimizer

    def forget(self) -> None:
        """Drop an L-BFGS history of other functions."""
        if isinstance(self.optimizer, torch.optim.LBFGS):
            self.optimizer.state.clear()

    def step(self, task: Task) -> float:
        """Take one step, or 20 iterations of L-BFGS."""

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            passes = self.model.walk(task.x, *task.guard, full=task.lamb > 0)
            value = task.loss(passes[-1].nodes)
            if task.lamb > 0:
                value = value + task.lamb * task.penalize(self.model, passes)[0]
            value.backward()
            return value.detach()

        return float(self.optimizer.step(closure))  # type: ignore[arg-type]


class LevenbergMarquardt(Stepper):
    """Damped Gauss–Newton steps in all parameters (Marquardt 1963, Nielsen 1999)."""

    def __init__(self, model: MultKAN) -> None:
        merge(model)
        self.model, self.damping, self.growth = model, 1e-2, 2.0
        self.value: float | None = None
        self.seen: Task | None = None

    def forget(self) -> None:
        """Evaluate the objective anew."""
        self.value = None

    def objective(self, task: Task) -> float:
        """Give loss + lamb penalty; infinite where there is none."""
        with torch.no_grad():
            passes = self.model.walk(task.x, *task.guard, full=task.lamb > 0)
            value = task.loss(passes[-1].nodes)
            if task.lamb > 0:
                value = value + task.lamb * task.penalize(self.model, passes)[0]
        return float(value) if bool(value.isfinite()) else math.inf

    def step(self, task: Task) -> float:
        """Take one step that lowers the objective, if there is one."""
        if self.value is None or self.seen is not task:
            self.value, self.seen = self.objective(task), task
        system = linearize(self.model, task)
        if system is None or not math.isfinite(self.value):
            return self.value
        start = system.places.read()
        for _ in range(8):
            delta = system.solve(self.damping)
            if delta is None:
                self.damping = max(self.damping, 1e-14) * 10
                continue
            system.places.write(start + delta)
            new = self.objective(task)
            if new < self.value:
                foreseen = system.foreseen(delta)
                gain = min((self.value - new) / max(foreseen, 1e-300), 1e3)
                shrink = max(0.05, 1 - (2 * gain - 1) ** 3)
                self.damping = max(self.damping * min(shrink, 2.0), 1e-14)
                self.growth, self.value = 2.0, new
                return new
            self.damping, self.growth = self.damping * self.growth, 2 * self.growth
        system.places.write(start)
        self.growth = 2.0
        return self.value


class Places:
    """The trained numbers of a network as one vector."""

    def __init__(self) -> None:
        self.items: list[tuple[Tensor, Tensor]] = []  # a parameter, and flat positions in it
        self.size = 0

    def add(self, parameter: Tensor, index: Tensor) -> slice:
        """Add the numbers at flat positions of a parameter; give where they stand."""
        self.items.append((parameter, index.reshape(-1)))
        begin, self.size = self.size, self.size + index.numel()
        return slice(begin, self.size)

    def read(self) -> Tensor:
        """Copy the numbers."""
        return self.gather([parameter.detach() for parameter, _ in self.items])

    def gather(self, tensors: list[Tensor]) -> Tensor:
        """Make one vector of tensors like the parameters."""
        pairs = zip(tensors, self.items, strict=True)
        return torch.cat([tensor.reshape(-1)[index] for tensor, (_, index) in pairs])

    def write(self, vector: Tensor) -> None:
        """Set the numbers."""
        begin = 0
        for parameter, index in self.items:
            count = index.numel()
            parameter.data.view(-1)[index] = vector[begin : begin + count]
            begin += count


class System:
    """The objective near the present parameters."""

    def __init__(
        self, places: Places, J: Tensor, g: Tensor, extra: list[tuple[Tensor, Tensor]]
    ) -> None:
        self.places, self.g = places, g
        self.H = J.T @ J
        largest = float(self.H.diagonal().max()) if len(g) else 0.0
        for at, blocks in extra:  # (edges, n), (edges, n, n)
            rows, columns = at.unsqueeze(2).expand_as(blocks), at.unsqueeze(1).expand_as(blocks)
            self.H.index_put_((rows, columns), blocks, accumulate=True)
        self.scale = self.H.diagonal().clamp_min(1e-12 * largest if largest > 0 else 1.0)

    def solve(self, damping: float) -> Tensor | None:
        """Give the step, or None if the matrix is not positive definite."""
        L, failed = torch.linalg.cholesky_ex(self.H + torch.diag(damping * self.scale))
        if int(failed):
            return None
        return torch.cholesky_solve(-self.g.unsqueeze(1), L).squeeze(1)

    def foreseen(self, delta: Tensor) -> float:
        """How much lower the quadratic model is after the step."""
        return -float(self.g @ delta + 0.5 * delta @ (self.H @ delta))


def linearize(model: MultKAN, task: Task) -> System | None:
    """Give Jacobian, gradient and the penalty's matrix; None if nothing is trained."""
    passes = model.walk(task.x, *task.guard, full=task.lamb > 0)
    output = passes[-1].nodes
    value = task.loss(output)
    rows = len(task.x)
    assert isinstance(task.rule, Curved)
    root = task.rule.root(output.detach(), task.y)
    wanted = [t for p in passes for t in (p.sums, p.subnodes, p.nodes)]
    signals = []
    for r in range(root.shape[1]):
        head = (output * root[:, r]).sum()
        signals.append(torch.autograd.grad(head, wanted, retain_graph=True, materialize_grads=True))
    stacked = [torch.stack(parts, 1) / math.sqrt(rows) for parts in zip(*signals, strict=True)]
    sizes: list[Tensor] = []
    slopes: tuple[Tensor, ...] = ()
    total = value
    if task.lamb > 0:
        charge, sizes = task.penalize(model, passes)
        total = value + task.lamb * charge
        slopes = torch.autograd.grad(charge, sizes, retain_graph=True, materialize_grads=True)
    places, columns, extra = Places(), [], []
    for layer, p in enumerate(passes):
        d_sums, d_subnodes, d_nodes = stacked[3 * layer : 3 * layer + 3]
        with torch.no_grad():
            found = _numeric(model, layer, p.x, d_sums, places, columns)
        if task.lamb > 0 and found is not None:
            slope = (task.lamb * slopes[layer]).clamp_min(0)
            with torch.no_grad():
                extra += _form(model, layer, p.x, slope, sizes[layer].detach(), found)
                extra += _coefficient_form(model, layer, task, found)
        if model.symbolic_enabled:
            _symbolic(model, layer, p.x.detach(), d_sums, task, places, columns)
        if model.affine_trainable:
            with torch.no_grad():
                _affine(model, layer, p, (d_subnodes, d_nodes), places, columns)
    if not columns:
        return None
    J = torch.cat(columns, 1)  # (rows, parameters)
    parameters = [parameter for parameter, _ in places.items]
    unique = list({id(t): t for t in parameters}.values())
    slopes_of = torch.autograd.grad(total, unique, allow_unused=True, materialize_grads=True)
    by_id = {id(t): g for t, g in zip(unique, slopes_of, strict=True)}
    g = places.gather([by_id[id(t)] for t in parameters])
    return System(places, J, g, extra)


@dataclass(frozen=True)
class _Edges:
    """Where the numeric edges of a layer stand in the vector."""

    i: Tensor
    j: Tensor
    at: Tensor  # (edges, coefficients and base)
    columns: Tensor  # (batch, inputs, coefficients and base)
    splines: int


def _numeric(
    model: MultKAN,
    layer: int,
    x: Tensor,
    d: Tensor,
    places: Places,
    columns: list[Tensor],
) -> _Edges | None:
    """Add the columns of a layer's splines and base functions."""
    act = model.parts()[layer][0]
    i, j = (act.mask != 0).nonzero().unbind(1)
    with_base = act.scale_base.requires_grad and act.base_fun is not zero
    if len(i) == 0:
        return None
    parts = [dense_splines(x, act.grid, act.k)[0]]
    if with_base:
        parts.append(act.base_fun(x).unsqueeze(-1))
    each = torch.cat(parts, -1)  # (batch, inputs, n)
    n, size = each.shape[-1], act.coef.shape[-1]
    factor = act.mask[i, j]
    weights = torch.cat(
        [(factor * act.scale_sp[i, j]).unsqueeze(1).expand(-1, size), factor.unsqueeze(1)], 1
    )[:, :n]  # (edges, n)
    signal = d[:, :, j]  # (batch, rows, edges)
    block = signal.unsqueeze(-1) * (each[:, i] * weights).unsqueeze(1)  # (batch, rows, edges, n)
    edge = i * act.out_dim + j
    inner = edge.unsqueeze(1) * size + torch.arange(size, device=x.device)
    first = places.add(act.coef, inner)
    at = torch.arange(first.start, first.stop, device=x.device).view(-1, size)
    columns.append(block[..., :size].reshape(block.shape[0] * block.shape[1], -1))
    if with_base:
        second = places.add(act.scale_base, edge)
        base = torch.arange(second.start, second.stop, device=x.device).unsqueeze(1)
        at = torch.cat([at, base], 1)
        columns.append(block[..., size:].reshape(block.shape[0] * block.shape[1], -1))
    return _Edges(i, j, at, each, size)


def _form(
    model: MultKAN, layer: int, x: Tensor, slope: Tensor, size: Tensor, edges: _Edges
) -> list[tuple[Tensor, Tensor]]:
    """The second derivatives of what touches the penalty from above, by edge."""
    act = model.parts()[layer][0]
    i, j = edges.i, edges.j
    centered = edges.columns - edges.columns.mean(0)  # (batch, inputs, n)
    covariance = torch.einsum("bik,bil->ikl", centered, centered) / max(len(x) - 1, 1)
    n = covariance.shape[-1]
    factor = act.mask[i, j].unsqueeze(1).expand(-1, n).clone()
    factor[:, : edges.splines] *= act.scale_sp[i, j].unsqueeze(1)
    weight = slope[j, i] / size[j, i].clamp_min(1e-4)  # (edges,)
    blocks = weight[:, None, None] * covariance[i] * factor[:, :, None] * factor[:, None, :]
    return [(edges.at, blocks)]


def _coefficient_form(
    model: MultKAN, layer: int, task: Task, edges: _Edges
) -> list[tuple[Tensor, Tensor]]:
    """The same for the penalties on coefficients."""
    _, _, coef_weight, diff_weight = task.weights
    act = model.parts()[layer][0]
    coef, size = act.coef[edges.i, edges.j], edges.splines
    at, share = edges.at[:, :size], task.lamb / act.out_dim
    forms = []
    if coef_weight:
        forms.append((at, torch.diag_embed(share * coef_weight / coef.abs().clamp_min(1e-4))))
    if diff_weight:
        D = torch.eye(size, dtype=coef.dtype, device=coef.device).diff(dim=0)
        weight = share * diff_weight / (coef @ D.T).abs().clamp_min(1e-4)  # (edges, differences)
        forms.append((at, torch.einsum("ek,kn,km->enm", weight, D, D)))
    return forms


def _symbolic(
    model: MultKAN,
    layer: int,
    x: Tensor,
    d: Tensor,
    task: Task,
    places: Places,
    columns: list[Tensor],
) -> None:
    """Add the columns of the constants of functions."""
    symbolic = model.parts()[layer][1]
    if not symbolic.affine.requires_grad:
        return
    for j, i in symbolic.active():
        if symbolic.funs_name[j][i] == "0":
            continue
        a, b, c, _ = symbolic.affine[j, i].detach().unbind()
        f = symbolic.function(j, i, *task.guard)
        with torch.enable_grad():
            u = (a * x[:, i] + b).detach().requires_grad_()
            value = f(u)
            slope = torch.zeros_like(u)
            if value.requires_grad:
                (slope,) = torch.autograd.grad(value.sum(), u)
        value = value.detach()
        by = torch.stack([c * slope * x[:, i], c * slope, value, torch.ones_like(value)], 1)
        by = torch.where(by.isfinite(), by, 0.0) * symbolic.mask[j, i]
        block = d[:, :, j].unsqueeze(-1) * by.unsqueeze(1)  # (batch, rows, 4)
        edge = 4 * (j * symbolic.in_dim + i)
        places.add(symbolic.affine, torch.arange(edge, edge + 4, device=x.device))
        columns.append(block.reshape(-1, 4))


def _affine(
    model: MultKAN,
    layer: int,
    p: Pass,
    signals: tuple[Tensor, Tensor],
    places: Places,
    columns: list[Tensor],
) -> None:
    """Add the columns of scales and biases of subnodes and nodes."""
    for signal, before, scale, bias in (
        (signals[0], p.sums, model.subnode_scale[layer], model.subnode_bias[layer]),
        (signals[1], p.products, model.node_scale[layer], model.node_bias[layer]),
    ):
        flat = signal.reshape(-1, signal.shape[-1])
        every = torch.arange(scale.numel(), device=flat.device)
        places.add(scale, every)
        columns.append((signal * before.unsqueeze(1)).reshape(flat.shape))
        places.add(bias, every)
        columns.append(flat)


def extent(model: MultKAN, task: Task) -> tuple[int, int]:
    """Give the rows and columns of a Jacobian."""
    count = sum(
        int((act.mask != 0).sum()) * (act.coef.shape[-1] + 1) + 4 * len(symbolic.active())
        for act, symbolic in model.parts()
    )
    return len(task.x) * model.width_in[-1], count


def is_factored(model: MultKAN, task: Task) -> bool:
    """Whether a Jacobian can be held, and its normal equations are soon solved."""
    rows, count = extent(model, task)
    return rows * count <= _ENTRIES and count <= _MOST


@torch.no_grad()
def merge(model: MultKAN) -> None:
    """Let splines without weight start at zero with the weight 1, so that they can be trained."""
    for act, _ in model.parts():
        dead = (act.scale_sp == 0) & (act.mask != 0)
        if act.scale_sp.requires_grad and bool(dead.any()):
            act.coef.data[dead] = 0.0
            act.scale_sp.data[dead] = 1.0


@torch.no_grad()
def redraw(model: MultKAN, start: int) -> None:
    """Draw the numeric edges anew."""
    draw = torch.Generator().manual_seed(7919 * start + model.seed)
    for act, _ in model.parts():
        share = 1 / math.sqrt(act.in_dim)
        inner = act.grid[:, act.k : -act.k].T
        noise = torch.randn(len(inner), act.in_dim, act.out_dim, generator=draw)
        act.coef.data = project(inner, 0.3 * noise.to(inner), act.grid.data, act.k)
        if act.scale_base.requires_grad:
            base = torch.rand(act.in_dim, act.out_dim, generator=draw) * 2 - 1
            act.scale_base.data = share * base.to(inner)


@torch.no_grad()
def lay_grids(model: MultKAN, x: Tensor, always: bool = False) -> bool:
    """Lay the grids that are off over what comes through them; tell whether any moved."""
    moved = False
    for layer, (act, _) in enumerate(model.parts()):
        inner, wanted = act.grid[:, act.k : -act.k], act.knots_for(x)
        reach = wanted[:, -1] - wanted[:, 0]
        off = ((inner - wanted).abs().amax(1) / reach).amax()
        if always or bool(off > 0.1 / act.num):
            act.update_grid_from_samples(x)
            moved = True
        x = model._one(x, layer)
    return moved


def snapshot(model: MultKAN) -> list[Tensor]:
    """Copy all parameters and grids."""
    return [p.detach().clone() for p in model.parameters()]


def restore(model: MultKAN, state: list[Tensor]) -> None:
    """Set all parameters and grids."""
    for p, value in zip(model.parameters(), state, strict=True):
        p.data = value.clone()
