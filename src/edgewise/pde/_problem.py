"""A problem: an equation on a domain with conditions, checked before any work."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._errors import ConfigError, DataError, ShapeError
from edgewise._jets import Leibniz
from edgewise.pde._conditions import (
    Condition,
    Dirichlet,
    Initial,
    Neumann,
    Observed,
    Periodic,
    Robin,
    evaluate,
    names,
)
from edgewise.pde._domains import Box, Domain
from edgewise.pde._fields import Field, fields_of

Equation = Callable[..., Any]
"""Residuals from fields, points and unknown constants."""


class Order(NamedTuple):
    """Which derivatives a statement reads."""

    order: int
    mixed: bool


@dataclass(frozen=True, eq=False)
class Problem:
    """An equation on a domain with conditions: what `solve` solves.

    Args:
        domain: Where the equation holds in space.
        equation: A function of the unknown field (a tuple of fields, where there are several) and
            the points (points, inputs), time last, that gives the residual at each point,
            (points,), or a tuple of them for a system. It is called with points in any number, and
            treats each for itself. Unknown constants are given to it by their names.
        conditions: Conditions on the boundary, at the start, at data.
        time: When time begins and ends; none by default.
        outputs: The number of unknown fields.
        unknowns: Constants of the equation that are to be found, by name, with their first guesses.
        energy: Whether `equation` gives the density of an energy, whose mean over the domain is to
            be least, instead of a residual. `solve` then takes `SelfScaledBroyden`.

    Raises:
        ConfigError: If there is no condition, one is outside of the domain, or the equation takes
            derivatives that are not there.
        ShapeError: If the equation or a condition does not give a value for each point.
        DataError: If the equation or a condition gives NaN or infinity.

    Example:
        >>> pde, pi = ew.pde, torch.pi
        >>> problem = pde.Problem(
        ...     pde.Box([-1, 1], [-1, 1]),
        ...     lambda u, x: pde.laplacian(u) + 2 * pi**2 * torch.sin(pi * x).prod(-1),
        ...     conditions=[pde.Dirichlet(0.0)],
        ... )
        >>> problem.inputs, problem.needs
        (2, Order(order=2, mixed=False))
    """

    domain: Domain
    equation: Equation = field(repr=False)
    conditions: Sequence[Condition] = ()
    time: tuple[float, float] | None = None
    outputs: int = 1
    unknowns: Mapping[str, float] = field(default_factory=dict)
    energy: bool = False
    needs: Order = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.domain, Domain):
            raise ConfigError(f"domain must be a domain such as Box, got {self.domain!r}.")
        if self.time is not None and not -math.inf < self.time[0] < self.time[1] < math.inf:
            raise ConfigError(f"time must be a pair (begin, end), got {self.time}.")
        if self.outputs < 1:
            raise ConfigError(f"A problem has at least one field, got outputs={self.outputs}.")
        object.__setattr__(self, "conditions", tuple(self.conditions))
        if self.energy and (self.time is not None or self.unknowns):
            raise ConfigError("An energy is for problems without time and unknown constants.")
        _check_arguments(self.equation, self.unknowns)
        self._check_conditions()
        for condition in self.conditions:
            self._check_values(condition)
        needs, in_space = probe(self, self.residuals, "equation")
        object.__setattr__(self, "needs", needs)
        if in_space:
            self._check_boundary()

    @property
    def inputs(self) -> int:
        """The number of inputs of the solution: the coordinates, and time."""
        return self.domain.space + (self.time is not None)

    @property
    def bounds(self) -> Float[Tensor, "inputs 2"]:
        """The box around the domain, time included."""
        if self.time is None:
            return self.domain.bounds
        return torch.cat([self.domain.bounds, self.domain.bounds.new_tensor([self.time])])

    def points(self, count: int, seed: int = 0) -> Float[Tensor, "points inputs"]:
        """Draw points of the domain and of time, evenly."""
        x = self.domain.sobol(count, seed)
        if self.time is None:
            return x
        engine = torch.quasirandom.SobolEngine(1 + self.domain.space, scramble=True, seed=seed)
        if isinstance(self.domain, Box):  # all coordinates from one sequence
            low, high = self.bounds.unbind(-1)
            return low + engine.draw(count, dtype=torch.float64) * (high - low)
        begin, end = self.time
        generator = torch.Generator().manual_seed(seed)
        t = torch.rand(count, 1, dtype=torch.float64, generator=generator)
        return torch.cat([x, begin + t * (end - begin)], -1)

    def residuals(self, u: Any, x: Tensor, **unknowns: Any) -> Any:
        """Call the equation."""
        return self.equation(u, x, **unknowns)

    def of(self, kind: type[Condition]) -> list[Any]:
        """List the conditions of a kind."""
        return [condition for condition in self.conditions if isinstance(condition, kind)]

    def _check_conditions(self) -> None:
        for condition in self.conditions:
            if not isinstance(condition, Condition):
                raise ConfigError(
                    f"Conditions are Dirichlet, Neumann, Robin, Periodic, Initial or Observed, got "
                    f"{condition!r}."
                )
        if self.of(Initial) and self.time is None:
            raise ConfigError(
                "An initial condition needs time, and the problem has none: "
                "Problem(..., time=(0, 1))."
            )
        if self.time is not None and not self.of(Initial) and not self.of(Observed):
            raise ConfigError(
                "The problem has time and no initial condition. Give one: "
                "conditions=[..., pde.Initial(lambda x: torch.sin(x[:, 0]))]."
            )
        for condition in self.of(Periodic):
            if not isinstance(self.domain, Box) or not 0 <= condition.axis < self.domain.space:
                raise ConfigError(
                    f"Periodic(axis={condition.axis}) is outside of the domain: it takes a "
                    "coordinate of a box."
                )

    def _check_boundary(self) -> None:
        """Check that an equation with derivatives in space knows something about the boundary."""
        if not any(not isinstance(condition, Initial) for condition in self.conditions):
            raise ConfigError(
                "The problem has no condition on the boundary, so it has many solutions or none. "
                "Give one: conditions=[pde.Dirichlet(0.0)], pde.Neumann, pde.Robin or pde.Periodic."
            )

    def _check_values(self, condition: Condition) -> None:
        """Evaluate what a condition is given at a few points."""
        what = type(condition).__name__
        number = getattr(condition, "of", None)
        if number is not None and not 0 <= number < self.outputs:
            raise ConfigError(f"{what} is on field {number}, the problem has {self.outputs}.")
        match condition:
            case Dirichlet() | Neumann() | Robin():
                for side in names(condition.on, self.domain.sides, what):
                    edge = self.domain.boundary(side, 9)
                    if isinstance(condition, Robin) and condition.a == condition.b == 0:
                        raise ConfigError("Robin needs a or b other than zero.")
                    if len(edge.x):
                        evaluate(condition.value, self._with_time(edge.x), what)
            case Initial():
                x = self.domain.sobol(16)
                evaluate(condition.value, x, what)
                if condition.rate is not None:
                    evaluate(condition.rate, x, what)
            case Observed():
                if condition.x.shape[1] != self.inputs:
                    raise ShapeError(
                        f"Observed points have {condition.x.shape[1]} columns, the problem has "
                        f"{self.inputs} inputs."
                    )
                low, high = self.bounds.unbind(-1)
                slack = 1e-9 * (high - low)
                inside = ((condition.x >= low - slack) & (condition.x <= high + slack)).all(-1)
                inside &= self.domain.level(condition.x[:, : self.domain.space]) > -1e-9
                if not bool(inside.all()):
                    raise ConfigError(
                        f"{int((~inside).sum())} observed points are outside of the domain, the "
                        f"first is {condition.x[~inside][0].tolist()}."
                    )
            case _:
                pass

    def _with_time(self, x: Tensor) -> Tensor:
        if self.time is None:
            return x
        t = torch.linspace(*self.time, len(x), dtype=x.dtype).unsqueeze(-1)
        return torch.cat([x, t], -1)


def _check_arguments(equation: Equation, unknowns: Mapping[str, float]) -> None:
    """Check that the equation takes a field, points and the unknown constants."""
    if not callable(equation):
        raise ConfigError(f"equation must be a function of (u, x), got {equation!r}.")
    try:
        inspect.signature(equation).bind(None, None, **unknowns)
    except TypeError as error:
        wanted = ", ".join(["u", "x", *unknowns])
        raise ConfigError(f"equation must be a function of ({wanted}): {error}.") from None


def probe(problem: Problem, statement: Equation, what: str) -> tuple[Order, bool]:
    """Call an equation on random fields, and check its result.

    Returns:
        Which derivatives it reads, and whether any is in space.
    """
    rule = Leibniz.of(problem.inputs, 4, True)
    x = problem.points(7)
    generator = torch.Generator().manual_seed(0)
    shape = (len(x), problem.outputs, len(rule.partials))
    components = torch.rand(shape, dtype=torch.float64, generator=generator) + 0.5
    components.requires_grad_()
    asked: set = set()
    u = fields_of(components, rule.partials, problem.domain.space, asked)
    rows = as_rows(statement(u, x, **problem.unknowns), len(x), what)
    if not bool(rows.isfinite().all()):
        raise DataError(
            f"The {what} gives NaN or infinity on random fields at x = "
            f"{x[~rows.isfinite().all(1)][0].tolist()}. Check its divisions, roots and logarithms."
        )
    if not rows.requires_grad:
        raise ConfigError(f"The {what} does not depend on u: it has nothing to solve for.")
    space = problem.domain.space
    order = max([1, *map(len, asked)])
    mixed = any(len(set(partial)) > 1 for partial in asked)
    return Order(order, mixed), any(i < space for partial in asked for i in partial)


def as_rows(result: Any, count: int, what: str) -> Float[Tensor, "points rows"]:
    """Take what an equation gave as residuals, or say what is wrong with it."""
    parts = list(result) if isinstance(result, tuple | list) else [result]
    rows = []
    for part in parts:
        part = part.value if isinstance(part, Field) else part
        if not isinstance(part, Tensor) or part.shape not in ((count,), (count, 1)):
            found = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise ShapeError(
                f"The {what} must give a residual for each point, ({count},) for {count} points, "
                f"or a tuple of such tensors for a system. It gave {found}."
            )
        rows.append(part.reshape(-1))
    return torch.stack(rows, -1)
