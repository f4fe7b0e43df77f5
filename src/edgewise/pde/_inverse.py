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
        rows = [
            (condition.weight or 1.0) * (solution(condition.x)[:, condition.of] - condition.u)
            for condition in data
        ]
        return solution, torch.cat(rows).nan_to_num(1e6)

    values = torch.tensor([float(v) for v in problem.unknowns.values()], dtype=torch.float64)
    solution, r = at(values)
    status, errors = solution.status, torch.full_like(values, torch.inf)
    history = list(solution.history)
    for _ in range(_STEPS):
        if status.outcome in (Outcome.OUT_OF_TIME, Outcome.INTERRUPTED):
            break
        J = torch.zeros(len(r), len(values), dtype=torch.float64)
        for k in range(len(values)):
            step = _DIFFERENCE * max(abs(float(values[k])), 1e-6)
            J[:, k] = (at(values + step * torch.eye(len(values))[k].double())[1] - r) / step
        change = torch.linalg.lstsq(J, -r.unsqueeze(-1), driver="gelsd").solution[:, 0]
        noise = r.square().sum() / max(len(r) - len(values), 1)
        errors = (noise * torch.linalg.pinv(J.T @ J).diagonal()).sqrt()
        better, there, new, r_new = False, values, solution, r
        for _ in range(6):  # no step changes a constant by more than half of itself
            limit = 0.5 * values.abs().clamp_min(1e-6)
            there = values + change.clamp(-limit, limit)
            new, r_new = at(there)
            status = new.status
            history += new.history
            if float(r_new.norm()) < float(r.norm()):
                better = True
                break
            change = change / 4
        if not better:
            status = Status(Outcome.CONVERGED, "The data are met no better.")
            break
        small = bool(((there - values).abs() < 1e-5 * there.abs()).all())
        solution, values, r = new, there, r_new
        if small:
            status = Status(Outcome.CONVERGED, "The constants change no more.")
            break
    return replace(
        solution,
        problem=problem,
        status=status,
        constants=dict(zip(names, values.tolist(), strict=True)),
        standard_errors=dict(zip(names, errors.tolist(), strict=True)),
        history=tuple(history),
        seconds=perf_counter() - begin,
    )
