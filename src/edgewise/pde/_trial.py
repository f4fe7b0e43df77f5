r"""The trial function: a network that meets conditions by its form.

.. math:: u = g + D N

N is a network, D vanishes where values are given exactly, and g has these values (Lagaris, Likas
and Fotiadis 1998). Jets of g and D are computed once for each point; u's jet is their sum and
product by Leibniz' rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._jets import Jet, Leibniz, jet
from edgewise._layer import KANLayer
from edgewise._network import KAN, Nodes
from edgewise.bases import BSpline
from edgewise.pde._conditions import Dirichlet, Initial, Periodic, evaluate, names
from edgewise.pde._problem import Problem
from edgewise.pde._unknowns import periodic_space

_CHUNK = 20_000


class Parts(NamedTuple):
    """Jets of g and D at points."""

    lift: Tensor  # (components, points, outputs)
    factor: Tensor  # (components, points, outputs)


@dataclass(frozen=True, eq=False)
class Trial:
    """A trial function on a window of time.

    Attributes:
        problem: What it is to solve.
        model: The network.
        window: When it begins and ends; None without time.
        before: The trial of the window before, whose end is the beginning.
        start: The initial values as a spline, where they are projected: on a periodic interval.
    """

    problem: Problem
    model: KAN
    window: tuple[float, float] | None = None
    before: Trial | None = field(default=None, repr=False)
    start: KAN | None = field(default=None, repr=False)

    @property
    def splines(self) -> BSpline:
        """The splines of the inputs."""
        basis = self.model.parts()[0][0].basis
        assert isinstance(basis, BSpline), "solve takes no other networks"
        return basis

    @property
    def is_deep(self) -> bool:
        """Whether splines, not only lines, stand behind hidden nodes."""
        return any(layer.basis.degree > 1 for layer, _ in self.model.parts()[1:])

    @property
    def bounds(self) -> Float[Tensor, "inputs 2"]:
        """The box around its domain, the window included."""
        bounds = self.problem.bounds.clone()
        if self.window is not None:
            bounds[-1] = bounds.new_tensor(self.window)
        return bounds

    @property
    def periodic(self) -> tuple[int, ...]:
        """The inputs in which it is periodic."""
        return tuple(condition.axis for condition in self.problem.of(Periodic))

    def jet(self, x: Float[Tensor, "points inputs"], order: int = 1, mixed: bool = False) -> Jet:
        """Evaluate it with its derivatives."""
        rule = Leibniz.of(self.problem.inputs, max(order, 1), mixed)
        chunks = [self._jet(chunk, rule) for chunk in x.split(_CHUNK)]
        return Jet(torch.cat(chunks), rule.partials, rule.inputs)

    def parts(self, x: Float[Tensor, "points inputs"], rule: Leibniz) -> Parts:
        """Give the jets of g and D."""
        outputs = range(self.problem.outputs)
        return Parts(
            torch.stack([self._lift(o, x, rule) for o in outputs], -1),
            torch.stack([self._factor(o, x, rule) for o in outputs], -1),
        )

    def combine(self, parts: Parts, model: Tensor, rule: Leibniz) -> Tensor:
        """Give the jet of u from that of N, (components, points, outputs) each."""
        return parts.lift + rule.full.multiply(parts.factor, model)

    def _jet(self, x: Tensor, rule: Leibniz) -> Tensor:
        with torch.no_grad():
            inner = jet(self.model, x, rule.order, mixed=rule.pairs > 0).components.permute(2, 0, 1)
        return self.combine(self.parts(x, rule), inner, rule).permute(1, 2, 0)

    def _dirichlet(self, output: int) -> list[tuple[Dirichlet, tuple[str, ...]]]:
        """The conditions that hold exactly for a field, with their sides."""
        return [
            (condition, names(condition.on, self.problem.domain.sides, "Dirichlet"))
            for condition in self.problem.of(Dirichlet)
            if condition.of in (None, output) and is_exact(self.problem, condition)
        ]

    def _initial(self, output: int) -> Initial | None:
        found = [c for c in self.problem.of(Initial) if c.of in (None, output)]
        return found[0] if found else None

    def _factor(self, output: int, x: Tensor, rule: Leibniz) -> Tensor:
        space, domain = self.problem.domain.space, self.problem.domain
        sides = tuple({side for _, on in self._dirichlet(output) for side in on})
        initial = self._initial(output)

        def factor(x: Tensor) -> Tensor:
            value = torch.ones_like(x[:, 0])
            if sides:
                distance = domain.factor(x[:, :space], sides)
                assert distance is not None
                value = value * distance
            if initial is not None and self.window is not None:
                share = (x[:, -1] - self.window[0]) / (self.window[1] - self.window[0])
                value = value * (share if initial.rate is None else share**2)
            return value

        return jet_of(factor, x, rule)

    def _boundary(self, output: int) -> Callable[[Tensor], Tensor]:
        """The function that has the values given on the boundary."""
        space, domain = self.problem.domain.space, self.problem.domain
        given = self._dirichlet(output)

        def boundary(x: Tensor) -> Tensor:
            values = [evaluate(condition.value, x, "Dirichlet") for condition, _ in given]
            if len({id(c.value) if callable(c.value) else c.value for c, _ in given}) < 2:
                return values[0] if values else torch.zeros_like(x[:, 0])
            # transfinite interpolation: each weighs with the distances from all others' sides
            factors = [domain.factor(x[:, :space], on) for _, on in given]
            distances = [d for d in factors if d is not None]
            assert len(distances) == len(given), "conditions are exact only where a factor is known"
            weights = [
                torch.stack([d for m, d in enumerate(distances) if m != n]).prod(0)
                for n in range(len(given))
            ]
            shares = torch.stack(weights)
            return (shares * torch.stack(values)).sum(0) / shares.sum(0)

        return boundary

    def _lift(self, output: int, x: Tensor, rule: Leibniz) -> Tensor:
        boundary, initial = self._boundary(output), self._initial(output)
        lift = jet_of(boundary, x, rule)
        if initial is None or self.window is None:
            return lift
        begin = self.window[0]
        at_start = torch.cat([x[:, :-1], torch.full_like(x[:, -1:], begin)], -1)
        timeless = [n for n, p in enumerate(rule.partials) if rule.inputs - 1 not in p]
        if self.before is not None:
            mixed = rule.pairs > 0
            ended = self.before.jet(at_start, rule.order, mixed).components[:, output].T
        elif self.start is not None:
            ended = self._profile(output, x, rule)
        else:
            space = self.problem.domain.space
            given = initial.value

            def first(x: Tensor) -> Tensor:
                return evaluate(given, x[:, :space], "Initial")

            ended = jet_of(first, x, rule)
        frozen = jet_of(boundary, at_start, rule)
        result = lift
        keep = torch.zeros_like(lift)
        keep[timeless] = (ended - frozen)[timeless]
        result = result + keep
        if initial.rate is not None:
            result = result + self._rate(initial, x, rule, begin)
        return result

    def _rate(self, initial: Initial, x: Tensor, rule: Leibniz, begin: float) -> Tensor:
        if self.before is not None:
            raise ConfigError(
                "An equation of second order in time is solved in one window: windows=1. Write it "
                "as a system of first order to march in several."
            )
        space, rate = self.problem.domain.space, initial.rate
        assert rate is not None

        def grown(x: Tensor) -> Tensor:
            return (x[:, -1] - begin) * evaluate(rate, x[:, :space], "Initial")

        return jet_of(grown, x, rule)

    def _profile(self, output: int, x: Tensor, rule: Leibniz) -> Tensor:
        """The jet of the projected initial values."""
        assert self.start is not None
        with torch.no_grad():
            found = jet(self.start, x[:, :1].contiguous(), rule.order).components[:, output]
        result = x.new_zeros(len(rule.partials), len(x))
        for m in range(rule.order + 1):
            result[rule.partials.index((0,) * m)] = found[:, m]
        return result


def is_exact(problem: Problem, condition: Dirichlet) -> bool:
    """Tell whether a condition can hold by the form of the trial function."""
    sides = names(condition.on, problem.domain.sides, "Dirichlet")
    return condition.exact and problem.domain.factor(problem.domain.sobol(4), sides) is not None


def projected_start(problem: Problem, model: KAN) -> KAN | None:
    """Project initial values on a periodic interval onto the network's periodic splines."""
    conditions = problem.of(Initial)
    if not conditions or not problem.of(Periodic) or problem.domain.space != 1:
        return None
    basis = model.parts()[0][0].basis.select(torch.tensor([0]))
    assert isinstance(basis, BSpline)
    Z = periodic_space(basis)[0]  # (basis, free)
    low, high = problem.domain.bounds[0].tolist()
    inner = basis.inner[0]
    nodes = torch.linspace(0, 1, 4 * basis.degree, dtype=inner.dtype)[1:-1]
    x = (inner[:-1, None] * (1 - nodes) + inner[1:, None] * nodes).reshape(-1, 1)
    weights = (inner.diff()[:, None] * torch.ones_like(nodes)).flatten().sqrt()
    x = x.clamp(low, high)
    A = basis.values(x)[0][:, 0] @ Z
    rows = []
    for output in range(problem.outputs):
        found = [c for c in conditions if c.of in (None, output)]
        values = evaluate(found[0].value, x, "Initial") if found else torch.zeros_like(x[:, 0])
        solution = torch.linalg.lstsq(
            weights[:, None] * A, (weights * values)[:, None], driver="gelsd"
        ).solution
        rows.append(Z @ solution[:, 0])
    coef = torch.stack(rows).unsqueeze(1)
    mask = torch.ones(problem.outputs, 1, dtype=torch.bool)
    return KAN.of([KANLayer.of(basis, coef, mask)], [Nodes(problem.outputs)])


def jet_of(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "points inputs"], rule: Leibniz
) -> Float[Tensor, "components points"]:
    """Give the jet of any smooth torch function by nested autograd."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        found: dict[tuple[int, ...], Tensor] = {(): function(x)}
        slopes: dict[tuple[int, ...], Tensor | None] = {}
        for partial in sorted(rule.partials, key=len)[1:]:
            below = partial[:-1]
            if below not in slopes:
                u = found[below]
                slopes[below] = None
                if u.requires_grad:
                    (slopes[below],) = torch.autograd.grad(
                        u.sum(), x, create_graph=True, allow_unused=True
                    )
            slope = slopes[below]
            found[partial] = torch.zeros_like(x[:, 0]) if slope is None else slope[:, partial[-1]]
    return torch.stack([found[partial].detach() for partial in rule.partials])
