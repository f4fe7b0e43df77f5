r"""Residuals of a problem at points, and their Gauss–Newton sums.

An equation is differentiated once for each point in the components of its fields' jets. With
:math:`u = g + D N`, Leibniz' rule carries these derivatives back to the jet of the network N, and
`LinearJet` to its parameters: the equation itself may be anything that torch computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._jets import Leibniz, jet, linear_jet
from edgewise._kernels import gram as add_gram
from edgewise._kernels import mirror, pull
from edgewise._network import KAN
from edgewise.pde._conditions import Dirichlet, Neumann, Observed, Robin, evaluate, names
from edgewise.pde._fields import Field, fields_of
from edgewise.pde._problem import Equation, Order, Problem, as_rows
from edgewise.pde._trial import Parts, Trial, is_exact
from edgewise.pde._unknowns import Unknowns

_ENTRIES = 3_000_000
"""How many values of basis functions are held at a time: 24 MB."""


@dataclass(frozen=True, eq=False)
class Rows:
    """A statement at points: `statement(u, x, extra, **constants)` is to be zero.

    Attributes:
        name: What it is called in print.
        statement: The function.
        needs: The derivatives that it reads.
        x: The points.
        root: The square root of each point's weight; the squares sum to one.
        extra: What belongs to the points besides: normals, values given.
        parts: Jets of the trial function's lift and factor.
        scale: The weight of the whole.
        automatic: Whether the scale is balanced with the equation's.
        energy: Whether the statement gives a density whose mean is to be least, not a residual.
    """

    name: str
    statement: Equation
    needs: Order
    x: Tensor
    root: Tensor
    extra: Tensor
    parts: Parts
    scale: float = 1.0
    automatic: bool = False
    energy: bool = False

    @property
    def rule(self) -> Leibniz:
        """Which derivatives the jets have."""
        return Leibniz.of(self.x.shape[1], *self.needs)

    def split(self, count: int) -> list[Rows]:
        """Cut into chunks of points."""
        if len(self.x) <= count:
            return [self]
        pieces = []
        for begin in range(0, len(self.x), count):
            at = slice(begin, begin + count)
            parts = Parts(self.parts.lift[:, at], self.parts.factor[:, at])
            pieces.append(
                replace(self, x=self.x[at], root=self.root[at], extra=self.extra[at], parts=parts)
            )
        return pieces

    def of_jets(self, jets: Tensor, space: int, constants: Mapping[str, Any]) -> Tensor:
        """Evaluate the residuals from jets of u, (points, outputs, components)."""
        u = fields_of(jets, self.rule.partials, space)
        rows = as_rows(self.statement(u, self.x, self.extra, **constants), len(self.x), self.name)
        root = self.root.square() if self.energy else self.scale * self.root
        return rows * root.unsqueeze(-1)

    def value(self, rows: Tensor) -> float:
        """Half the sum of squared residuals, or the energy."""
        return float(rows.sum() if self.energy else 0.5 * rows.square().sum())


def interior(trial: Trial, x: Tensor, weights: Tensor | None = None) -> Rows:
    """Ask for the equation at points of the domain."""
    problem = trial.problem
    weights = torch.ones_like(x[:, 0]) if weights is None else weights

    def statement(u: Any, x: Tensor, extra: Tensor, **constants: Any) -> Any:
        return problem.equation(u, x, **constants)

    rows = _rows("equation", trial, statement, problem.needs, x, weights, x[:, :0])
    return replace(rows, energy=problem.energy)


def conditions(trial: Trial, count: int) -> list[Rows]:
    """Ask for those conditions at about `count` points each that do not hold by themselves."""
    found = []
    for condition in trial.problem.conditions:
        match condition:
            case Dirichlet() if not is_exact(trial.problem, condition):
                found += _on_sides(trial, condition, 1.0, 0.0, count)
            case Neumann():
                found += _on_sides(trial, condition, 0.0, 1.0, count)
            case Robin():
                found += _on_sides(trial, condition, condition.a, condition.b, count)
            case Observed():
                found += _observed(trial, condition)
            case _:
                pass
    return found


def _on_sides(trial: Trial, condition: Any, a: float, b: float, count: int) -> list[Rows]:
    """Rows of a u + b du/dn on the sides of a condition."""
    problem, what = trial.problem, type(condition).__name__
    space = problem.domain.space
    edges = []
    for side in names(condition.on, problem.domain.sides, what):
        edge = problem.domain.boundary(side, count)
        if trial.window is not None:
            begin, end = trial.window
            each = max(8, count // 4)
            share = (torch.arange(each, dtype=torch.float64) + 0.5) / each
            t = begin + share.repeat_interleave(len(edge.x)) * (end - begin)
            x = torch.cat([edge.x.repeat(each, 1), t.unsqueeze(-1)], -1)
            edges.append((x, edge.normal.repeat(each, 1)))
        elif len(edge.x):
            edges.append((edge.x, edge.normal))
    x = torch.cat([x for x, _ in edges])
    normal = torch.cat([normal for _, normal in edges])
    given = evaluate(condition.value, x, what).unsqueeze(-1)

    def statement(u: Any, x: Tensor, extra: Tensor, **constants: Any) -> Any:
        fields = [u] if isinstance(u, Field) else list(u)
        chosen = fields if condition.of is None else [fields[condition.of]]
        rows = []
        for one in chosen:
            row = -extra[:, -1]
            if a:
                row = row + a * one.value
            if b:
                slopes = [extra[:, i] * one.d(i) for i in range(space)]
                row = row + b * torch.stack(slopes).sum(0)
            rows.append(row)
        return tuple(rows)

    extra = torch.cat([normal, given], -1)
    rows = _rows(what, trial, statement, Order(1, False), x, torch.ones_like(x[:, 0]), extra)
    return [replace(rows, automatic=True)]


def _observed(trial: Trial, condition: Observed) -> list[Rows]:
    """Rows of the measurements that fall into the trial's window."""
    x, u = condition.x.to(torch.float64), condition.u.to(torch.float64)
    if trial.window is not None:
        begin, end = trial.window
        at = (x[:, -1] >= begin) & (x[:, -1] <= end)
        x, u = x[at], u[at]
    if len(x) == 0:
        return []

    def statement(u: Any, x: Tensor, extra: Tensor, **constants: Any) -> Any:
        one = u if isinstance(u, Field) else u[condition.of]
        return one.value - extra[:, 0]

    rows = _rows(
        "Observed", trial, statement, Order(1, False), x, torch.ones_like(u), u.unsqueeze(-1)
    )
    return [replace(rows, scale=condition.weight or 1.0)]


def _rows(
    name: str,
    trial: Trial,
    statement: Equation,
    needs: Order,
    x: Tensor,
    weights: Tensor,
    extra: Tensor,
) -> Rows:
    parts = trial.parts(x, Leibniz.of(x.shape[1], *needs))
    return Rows(name, statement, needs, x, (weights / weights.sum()).sqrt(), extra, parts)


@dataclass(frozen=True, eq=False)
class System:
    """All rows of a trial: the residuals of a least-squares problem.

    Attributes:
        trial: The trial function; its model is what changes.
        pieces: The statements at their points.
    """

    trial: Trial
    pieces: Sequence[Rows]

    def residuals(self, model: KAN, constants: Mapping[str, float]) -> list[Tensor]:
        """Evaluate the residuals of each piece, (points, rows)."""
        return [self._residuals(piece, model, constants) for piece in self.pieces]

    def value(self, model: KAN, constants: Mapping[str, float]) -> float:
        """Half the sum of the squares, and the energy if there is one."""
        found = self.residuals(model, constants)
        return sum(piece.value(rows) for piece, rows in zip(self.pieces, found, strict=True))

    def gradient(self, unknowns: Unknowns) -> tuple[float, Tensor]:
        """Give the value and its gradient in the unknowns."""
        g = torch.zeros(unknowns.full + len(unknowns.constants), dtype=torch.float64)
        value = 0.0
        for piece in self.pieces:
            for chunk in piece.split(_chunk(unknowns.model)):
                value += _add(chunk, self.trial, unknowns, None, g)
        return value, unknowns.reduce_vector(g)

    def normal_equations(self, unknowns: Unknowns) -> tuple[float, Tensor, Tensor]:
        """Give the value, its gradient and the Gauss–Newton matrix in the unknowns."""
        total = unknowns.full + len(unknowns.constants)
        H = torch.zeros(total, total, dtype=torch.float64)
        g = torch.zeros(total, dtype=torch.float64)
        value = 0.0
        for piece in self.pieces:
            for chunk in piece.split(_chunk(unknowns.model)):
                value += _add(chunk, self.trial, unknowns, H, g)
        H, g = unknowns.reduce(mirror(H), g)
        return value, g, H

    def balanced(self, unknowns: Unknowns) -> System:
        """Weigh conditions so that they touch the parameters as much as the equation does."""
        if not any(piece.automatic for piece in self.pieces):
            return self
        traces = []
        for piece in self.pieces:
            alone = System(self.trial, [replace(piece, scale=1.0, energy=False)])
            traces.append(float(alone.normal_equations(unknowns)[2].trace()))
        equation = traces[0]
        pieces = [
            replace(piece, scale=(equation / trace) ** 0.5) if piece.automatic else piece
            for piece, trace in zip(self.pieces, traces, strict=True)
        ]
        return System(self.trial, pieces)

    def _residuals(self, piece: Rows, model: KAN, constants: Mapping[str, float]) -> Tensor:
        space = self.trial.problem.domain.space
        found = []
        for chunk in piece.split(20_000):
            with torch.no_grad():
                inner = jet(model, chunk.x, chunk.needs.order, mixed=chunk.needs.mixed)
                components = inner.components.permute(2, 0, 1)
                u = self.trial.combine(chunk.parts, components, chunk.rule)
                found.append(chunk.of_jets(u.permute(1, 2, 0), space, constants))
        return torch.cat(found)


def _chunk(model: KAN) -> int:
    """How many points are linearized at a time."""
    widest = max(
        layer.coef.shape[0] * layer.in_features * (layer.basis.size if layer.basis.grid < 3 else 12)
        for layer, _ in model.parts()
    )
    return max(64, _ENTRIES // widest)


@torch.no_grad()
def _add(
    piece: Rows,
    trial: Trial,
    unknowns: Unknowns,
    H: Float[Tensor, "all all"] | None,
    g: Float[Tensor, " all"],
) -> float:
    """Add what a chunk of rows has in the normal equations, and give its value."""
    rule, model = piece.rule, unknowns.model
    constants, size = unknowns.constants, unknowns.full
    linear = linear_jet(model, piece.x, piece.needs.order, mixed=piece.needs.mixed)
    inner = linear.jet.components.permute(2, 0, 1)
    u = trial.combine(piece.parts, inner, rule).permute(1, 2, 0).contiguous()
    residuals, by_jet, by_constant = _differentiate(piece, u, trial, constants)
    # (rows, components, points, outputs)
    a = rule.full.carry_back(by_jet.permute(1, 3, 0, 2), piece.parts.factor)
    columns = unknowns.columns(linear.columns(a.permute(2, 0, 3, 1).contiguous()))
    if H is not None and constants:
        full = torch.zeros(size, size, dtype=torch.float64)
        add_gram(columns, full)
        H[:size, :size] += full.triu()
    elif H is not None:
        add_gram(columns, H)
    signal = torch.ones_like(residuals) if piece.energy else residuals

    def pulled(signal: Tensor) -> Tensor:
        signal = signal.reshape(-1, 1, 1)
        return torch.cat([pull(column._replace(signal=signal)) for column in columns])

    g[:size] += pulled(signal)
    for k in range(len(constants)):
        g[size + k] += (by_constant[k] * signal).sum()
        if H is None:
            continue
        H[:size, size + k] += pulled(by_constant[k])
        for m in range(k, len(constants)):
            H[size + k, size + m] += (by_constant[k] * by_constant[m]).sum()
    return piece.value(residuals)


def _differentiate(
    piece: Rows, u: Tensor, trial: Trial, constants: Mapping[str, float]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Give residuals (points, rows), their derivatives in jets and in each constant."""
    with torch.enable_grad():
        u = u.detach().requires_grad_()
        leaves = {
            name: torch.full((len(u),), value, dtype=u.dtype).requires_grad_()
            for name, value in constants.items()
        }
        rows = piece.of_jets(u, trial.problem.domain.space, leaves)
        by_jet, by_constant = [], []
        for k in range(rows.shape[1]):
            found = torch.autograd.grad(
                rows[:, k].sum(),
                [u, *leaves.values()],
                retain_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
            by_jet.append(found[0])
            by_constant.append(found[1:])
    stacked = [torch.stack([row[k] for row in by_constant], -1) for k in range(len(constants))]
    return rows.detach(), torch.stack(by_jet, 1), stacked


def problem_points(problem: Problem, trial: Trial, count: int, seed: int) -> Tensor:
    """Draw fresh points of the domain within the trial's window."""
    x = problem.points(count, seed)
    if trial.window is not None and problem.time is not None:
        (begin, end), (first, last) = trial.window, problem.time
        x[:, -1] = begin + (x[:, -1] - first) / (last - first) * (end - begin)
    return x
