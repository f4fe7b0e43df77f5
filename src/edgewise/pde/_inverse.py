"""Constants of an equation from data, by Gauss–Newton steps over whole evolutions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter

import torch
from torch import Tensor

from edgewise._errors import ConfigError
from edgewise._fit import Outcome, Status
from edgewise.pde._conditions import Observed
from edgewise.pde._problem import Problem
from edgewise.pde._solution import Solution


class _Stopped(Exception):
    """An evolution was not finished."""

    def __init__(self, solution: Solution) -> None:
        super().__init__()
        self.solution = solution


_STEPS = 12
_DIFFERENCE = 1e-2


def find_constants(
    problem: Problem, march: Callable[[Problem, float | None], Solution], time: float | None
) -> Solution:
    """Find the constants with which the solution comes nearest to the data.

    Every evaluation is a solution of the equation with known constants, so that noise in the data
    cannot make the equation hold less well. Derivatives in the constants are differences.
    """
    data = problem.of(Observed)
    if not data:
        raise ConfigError(
            "Unknown constants are found from data, and there are none: "
            "conditions=[..., pde.Observed(x, u)]."
        )
    begin = perf_counter()
    names = list(problem.unknowns)
    others = [condition for condition in problem.conditions if not isinstance(condition, Observed)]

    def at(values: Tensor) -> tuple[Solution, Tensor]:
        known = dict(zip(names, values.tolist(), strict=True))
        one = replace(
            problem, equation=partial(problem.equation, **known), conditions=others, unknowns={}
        )
        left = None if time is None else max(0.0, time - (perf_counter() - begin))
        solution = march(one, left)
        if solution.status.outcome in (Outcome.OUT_OF_TIME, Outcome.INTERRUPTED):
            raise _Stopped(solution)
        rows = [
            (condition.weight or 1.0) * (solution(condition.x)[:, condition.of] - condition.u)
            for condition in data
        ]
        return solution, torch.cat(rows).nan_to_num(1e6)

    values = torch.tensor([float(v) for v in problem.unknowns.values()], dtype=torch.float64)
    errors = torch.full_like(values, torch.inf)
    solution = None
    try:
        solution, r = at(values)
        status = Status(Outcome.POOR, f"The constants still changed after {_STEPS} steps.")
        for _ in range(_STEPS):
            J = _jacobian(lambda there: at(there)[1], values, r)
            change = torch.linalg.lstsq(J, -r.unsqueeze(-1), driver="gelsd").solution[:, 0]
            noise = r.square().sum() / max(len(r) - len(values), 1)
            errors = (noise * torch.linalg.pinv(J.T @ J).diagonal()).sqrt()
            found = _shorter(at, values, change, float(r.norm()))
            if found is None:
                status = Status(Outcome.CONVERGED, "The data are met no better.")
                break
            before, (values, solution, r) = values, found
            if bool(((values - before).abs() < 1e-5 * values.abs()).all()):
                status = Status(Outcome.CONVERGED, "The constants change no more.")
                break
    except _Stopped as stopped:
        status = stopped.solution.status
        solution = stopped.solution if solution is None else solution
    return replace(
        solution,
        problem=problem,
        status=status,
        constants=dict(zip(names, values.tolist(), strict=True)),
        standard_errors=dict(zip(names, errors.tolist(), strict=True)),
        seconds=perf_counter() - begin,
    )


def _jacobian(function: Callable[[Tensor], Tensor], at: Tensor, value: Tensor) -> Tensor:
    """Differences of a function in each constant, (rows, constants)."""
    columns = []
    for k in range(len(at)):
        step = torch.zeros_like(at)
        step[k] = _DIFFERENCE * max(abs(float(at[k])), 1e-6)
        columns.append((function(at + step) - value) / step[k])
    return torch.stack(columns, -1)


def _shorter(
    at: Callable[[Tensor], tuple[Solution, Tensor]], values: Tensor, change: Tensor, size: float
) -> tuple[Tensor, Solution, Tensor] | None:
    """Go as much of the way as makes the residuals smaller; no constant changes by half of it."""
    limit = 0.5 * values.abs().clamp_min(1e-6)
    for _ in range(6):
        there = values + change.clamp(-limit, limit)
        solution, r = at(there)
        if float(r.norm()) < size:
            return there, solution, r
        change = change / 4
    return None
