"""The way through windows of time and finer grids."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from edgewise._fit import Monitor, Outcome, OutOfTime, Status
from edgewise._grid import adapt
from edgewise._network import KAN
from edgewise.pde._files import Journal
from edgewise.pde._networks import finer, finer_tensor, inner_knots, laid, moved, split
from edgewise.pde._newton import Steps
from edgewise.pde._problem import Problem
from edgewise.pde._rows import System, conditions, interior, problem_points
from edgewise.pde._sampling import Sampling, marked
from edgewise.pde._solution import Progress, Solution
from edgewise.pde._trial import Trial, projected_start
from edgewise.pde._unknowns import Unknowns

_FRESH = 2000
"""How many fresh points the residual is watched at."""


class _Kept(NamedTuple):
    """The best on a window."""

    trial: Trial
    coarser: Trial  # the one before it, to estimate its error by
    fresh: float  # its residual at fresh points


class March:
    """The state of one call of `solve`: what is done, and what comes next."""

    def __init__(
        self,
        problem: Problem,
        solver: Steps,
        sampling: Sampling,
        rounds: int,
        adaptive: bool,
        tolerance: float,
        hold: bool,
        seed: int,
        monitor: Monitor,
        journal: Journal | None,
    ) -> None:
        self.problem, self.solver, self.sampling = problem, solver, sampling
        self.rounds, self.adaptive, self.tolerance = rounds, adaptive, tolerance
        self.hold = hold
        self.seed, self.monitor, self.journal = seed, monitor, journal
        self.constants = {name: float(value) for name, value in problem.unknowns.items()}
        self.history: list[Progress] = []
        self.kept: list[_Kept] = []

    def run(self, model: KAN, spans: Sequence[tuple[float, float] | None]) -> Solution:
        """March through the windows."""
        status = Status(Outcome.CONVERGED, "The residual at fresh points falls no more.")
        first = laid(model, self.problem.bounds)
        model, bounds = first, self.problem.bounds
        try:
            for number, window in enumerate(spans):
                before = self.kept[-1].trial if self.kept else None
                trial = Trial(self.problem, model, window, before)
                model = moved(model, bounds, trial.bounds)
                self._window(number, replace(trial, model=model))
                # the next begins on the first grid: a window's end is no reason for a finer one
                model, bounds = self.kept[-1].trial.model, trial.bounds
                if model.grid != first.grid and not self.adaptive:
                    model, bounds = first, self.problem.bounds
            largest = max((window.fresh for window in self.kept), default=math.inf)
            if largest <= self.tolerance and not self.problem.energy:
                status = Status(Outcome.PERFECT, f"The residual is below {self.tolerance:.3g}.")
        except OutOfTime:
            status = Status(Outcome.OUT_OF_TIME, "The time was over; give more with time=...")
        except KeyboardInterrupt:
            status = Status(Outcome.INTERRUPTED, "Stopped by hand; this is the best so far.")
        return self._solution(status, len(spans))

    def _window(self, number: int, trial: Trial) -> None:
        """Solve on one window: steps, then finer grids while fresh points say so."""
        best, best_fresh = None, math.inf
        coarser = trial
        kept = self.journal.read(number, trial) if self.journal is not None else None
        first = 0
        if kept is not None:
            trial, best_fresh, first, self.constants = kept
            best = coarser = trial
        self.kept.append(_Kept(best or trial, coarser, best_fresh))
        for turn in range(first, self.rounds):
            if best is not None:
                if best_fresh <= self.tolerance and not self.problem.energy:
                    break
                trial = self._finer(best)
            trial, fresh = self._descend(number, trial, fresh_start=best is None, turn=turn)
            # fresh points hardly see the small cells at a singularity
            if best is None or fresh < best_fresh or (self.adaptive and fresh < 2 * best_fresh):
                coarser = best if best is not None else trial
                slow = best is not None and not self.problem.energy and fresh > 0.7 * best_fresh
                enough = slow and not self.adaptive
                best, best_fresh = trial, fresh
                self.kept[number] = _Kept(best, coarser, fresh)
                if self.journal is not None:
                    self.journal.write(number, best, fresh, turn + 1, self.constants)
                if enough:
                    break
            else:
                break
        if self.journal is not None and best is not None:
            self.journal.write(number, best, best_fresh, self.rounds, self.constants)

    def _finer(self, trial: Trial) -> Trial:
        model, bounds, rows = trial.model, trial.bounds, None
        if self.adaptive:
            x, weights = self.sampling.points(trial, 1, self.seed)
            cells = marked(trial, x, weights, self.constants)
            knots = inner_knots(trial.splines, bounds)
            rows = [split(row, where) for row, where in zip(knots, cells, strict=True)]
        change = finer_tensor if self.hold else finer
        return replace(trial, model=change(model, bounds, rows))

    def _descend(
        self, number: int, trial: Trial, *, fresh_start: bool, turn: int
    ) -> tuple[Trial, float]:
        """Take steps on one grid, the hidden grids following what comes through them."""
        if trial.before is None:
            trial = replace(trial, start=projected_start(self.problem, trial.model))
        turns = 4 if trial.is_deep and fresh_start else 1
        steps = self.solver.steps
        for part in range(turns):
            model = copy.deepcopy(trial.model)
            unknowns = self._unknowns(model, trial)
            unknowns.write(unknowns.read())
            trial = replace(trial, model=model)
            x, weights = self.sampling.points(trial, len(unknowns.read()), self.seed + turn + part)
            if trial.is_deep:
                trial = replace(trial, model=adapt(model, x, margin=0.1))
                unknowns = self._unknowns(trial.model, trial)
            boundary = max(200, 2 * len(x) // 10)
            pieces = [interior(trial, x, weights), *conditions(trial, boundary)]
            system = System(trial, pieces).balanced(unknowns)
            count = len(unknowns.read())

            def accept(value: float, count: int = count, trial: Trial = trial) -> None:
                self.monitor.check_time()
                residual = value if self.problem.energy else (2 * value) ** 0.5
                grid = trial.model.grid
                self.history.append(
                    Progress(number, grid, count, residual, None, self.monitor.seconds)
                )
                measure = "energy" if self.problem.energy else "residual"
                self.monitor.step(grid, residual, measure, "at the points")

            share = steps if part == turns - 1 else max(1, min(steps // 4, 8))
            try:
                replace(self.solver, steps=share).descend(system, unknowns, accept)
            except (OutOfTime, KeyboardInterrupt):
                self._note(number, trial, unknowns)
                raise
            self.constants = dict(unknowns.constants)
        fresh = self._fresh(trial)
        self.history.append(
            replace(self.history[-1], fresh=fresh)
            if self.history
            else Progress(number, trial.model.grid, 0, 0.0, fresh, self.monitor.seconds)
        )
        return trial, fresh

    def _unknowns(self, model: KAN, trial: Trial) -> Unknowns:
        return Unknowns(model, trial.periodic, self.constants, held=self.hold)

    def _note(self, number: int, trial: Trial, unknowns: Unknowns) -> None:
        """Keep what was being worked on, if it is better than what is kept."""
        fresh = self._fresh(trial)
        if fresh < self.kept[number].fresh:
            self.constants = dict(unknowns.constants)
            self.kept[number] = _Kept(trial, self.kept[number].trial, fresh)

    def _fresh(self, trial: Trial) -> float:
        """The root mean square of the equation's residual at fresh points."""
        x = problem_points(self.problem, trial, _FRESH, self.seed + 12345)
        value = System(trial, [interior(trial, x)]).value(trial.model, self.constants)
        return value if self.problem.energy else (2 * value) ** 0.5

    def _solution(self, status: Status, spans: int) -> Solution:
        fresh = [window.fresh for window in self.kept]
        mean = (sum(f**2 for f in fresh) / max(len(fresh), 1)) ** 0.5
        mean = fresh[0] if self.problem.energy and fresh else mean
        solution = Solution(
            problem=self.problem,
            trials=tuple(window.trial for window in self.kept),
            status=status,
            residual=mean,
            constants=self.constants,
            history=tuple(self.history),
            seconds=self.monitor.seconds,
        )
        if any(window.trial is not window.coarser for window in self.kept):
            coarser = tuple(window.coarser for window in self.kept)
            solution = replace(solution, coarser=replace(solution, trials=coarser))
        return solution
