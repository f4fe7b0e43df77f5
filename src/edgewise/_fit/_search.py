"""Look for the network: several starts on a coarse grid, few nodes before many, then finer grids.

A small network has bad minima, and a large one fits a simple law in needlessly many ways, none of
which can be read. Both are cheap to try on a coarse grid, and the right small network shows itself
when the grid is refined: its error falls as :math:`h^{d+1}`, where the error of a wrong one stays.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise._fit._data import Data
from edgewise._fit._journal import Journal
from edgewise._fit._losses import CrossEntropy, Loss
from edgewise._fit._monitor import Monitor
from edgewise._fit._problem import Problem
from edgewise._fit._solver import Solver
from edgewise._grid import adapt
from edgewise._network import KAN

_EXACT = 1e-6
"""A held-out error, as a share of the spread of y, below which no larger network is tried."""
_GOOD = 0.1
"""A held-out error, as a share of the spread of y, with which a start is refined at once."""
_TRAINED, _PROMISING = 0.1, 0.5
"""Shares of the spread of y. A network that leaves less than the first has been trained before; one
that leaves less than the second may have been, or is a random start by good luck."""
_WORTH = 4.0
"""A refinement that lowers the loss by less is weak: other networks may do better."""
_FLOOR = 1e-10
"""A held-out error, as a share of the spread of y, that a weak refinement shows to be the least."""
_ROUNDING = 1e-14
"""A held-out error, as a share of the spread of y, below which no finer grid is tried."""
_SMOOTH = 0.7
"""The error is taken for a smooth function's when it falls at this share of the best order."""
_ROUGH = 0.5
"""The error is taken for a rough function's when it falls at less than this share of the best
order: then knots move to where the error is, while that halves the loss."""
_MOVES = 4
"""So many times in a row at most."""
_FAILURES = 2
"""So many refinements in a row may fail to lower the held-out error before refinement stops, and
so many times may knots move in vain."""


@dataclass(frozen=True)
class Search:
    """How the network is looked for.

    Args:
        solver: What improves each network.
        data: Rows to fit and rows held out.
        loss: What is made small.
        monitor: The fit's clock.
        starts: Random starts for each size of network.
        sparse: Whether to try networks with fewer hidden nodes.
        finest: The largest grid to refine to.
        smoothest: The highest degree to go to.
        generator: Where the random numbers come from.
        journal: What a fit that was broken off left behind, and where this one leaves it.
        continual: Whether the network is only fitted as it stands, on its grids as they are.
    """

    solver: Solver
    data: Data
    loss: Loss
    monitor: Monitor
    starts: int
    sparse: bool
    finest: int
    smoothest: int
    generator: torch.Generator
    journal: Journal | None = None
    continual: bool = False

    def run(self, model: KAN, tried: list[Problem]) -> None:
        """Fit networks from small to large; `tried` grows, so that an interrupt loses nothing."""
        given = Problem(model, self.data, self.loss, self.monitor, continual=self.continual)
        if self.continual:
            tried.append(given)
            self._solve(given, fresh=False)
            return
        left = given.best_value / given.null_value()
        if left < _PROMISING:
            tried.append(given)
            self._solve(given, fresh=False)
            self._refine(given)
            if left < _TRAINED or self._is_below(given, _EXACT):
                return
        for network in self._sizes(model):
            self._start(network, tried)
            if self._is_below(tried[-1], _EXACT):
                break
        for network in self._narrower(model, tried):
            self._start(network, tried)
        self._refine(min(tried, key=lambda problem: problem.best_value))
        self._refine(self.pick(tried))

    def _solve(self, problem: Problem, *, fresh: bool) -> None:
        """Let the solver work, or take what it found before this fit was broken off."""
        if self.journal is not None and self.journal.replay(problem):
            return
        self.solver.solve(problem, fresh=fresh)
        if self.journal is not None:
            self.journal.record(problem)

    def pick(self, tried: list[Problem]) -> Problem:
        """Take the best; among networks that the held-out rows cannot tell apart, the smallest."""
        best = min(tried, key=lambda problem: problem.best_value)
        for problem in sorted(tried, key=lambda problem: sum(active_nodes(problem.best))):
            excess, error = problem.excess(best)
            if excess <= 2 * error:
                return problem
        return best

    def _is_below(self, problem: Problem, share: float) -> bool:
        """Whether the held-out error is below this share of the spread of y."""
        if isinstance(self.loss, CrossEntropy):
            return False
        return problem.best_value <= share**2 * problem.null_value()

    def _sizes(self, model: KAN) -> Iterator[KAN]:
        """Switch 1, 2, 4, ... hidden nodes of each kind on in every layer, then all."""
        whole = all(bool(layer.mask.all()) for layer, _ in model.parts())
        hidden = [max(nodes.sums, nodes.products) for _, nodes in model.parts()[:-1]]
        nodes = 1
        while self.sparse and whole and nodes < max(hidden, default=1):
            yield switch_off(model, [nodes] * len(hidden))
            nodes *= 2
        yield model

    def _narrower(self, model: KAN, tried: list[Problem]) -> Iterator[KAN]:
        """Halve one hidden layer of the best network, each in turn, where its error has stalled.

        Nodes that are not needed share what one could do, in ways that hardly differ in the loss.
        """
        best = min(tried, key=lambda problem: problem.best_value)
        nodes = active_nodes(best.best)[1:-1]
        whole = all(bool(layer.mask.all()) for layer, _ in model.parts())
        if not self.sparse or not whole or len(nodes) < 2 or self._is_below(best, _FLOOR):
            return
        for place, count in enumerate(nodes):
            if count > 1:
                fewer = list(nodes)
                fewer[place] = (count + 1) // 2
                yield switch_off(model, fewer)

    def _start(self, model: KAN, tried: list[Problem]) -> None:
        """Run starts on the coarse grid, refine the best; it stays at the end of `tried`.

        One that is good as it is is refined at once: if it is the right one, no more are needed.
        """
        convex = len(model.parts()) == 1
        coarse, best, refined = math.inf, None, False
        for number in range(1 if convex else self.starts):
            start = copy.deepcopy(model)
            stretch_inputs(start, self.data.x)
            if number:
                start.reset_parameters(generator=self.generator)
            if not isinstance(self.loss, CrossEntropy):
                scale_outputs(start, self.data.y)
            problem = Problem(start, self.data, self.loss, self.monitor)
            if number == 0:
                tried.append(problem)
            with _kept(problem, tried):
                self._solve(problem, fresh=True)
                if best is None or problem.best_value < coarse:
                    coarse, best = problem.best_value, problem
                    refined = self._is_below(problem, _GOOD)
                    if refined:
                        self._refine(problem, deep=False)
            if self._is_below(problem, _EXACT):
                return
        if best is not None and not refined:
            with _kept(best, tried):
                self._refine(best, deep=False)

    def _refine(self, problem: Problem, *, deep: bool = True) -> None:
        """Make the grids finer, and the splines smoother, while the held-out loss falls.

        Where it falls slowly, knots move to the rough places: a finer grid everywhere is a waste.

        Args:
            problem: The network. It is left where it stands when a step is not worth it, and may be
                taken up again.
            deep: Whether to go on to the end, or only while the network shows itself as the right
                one: the loss falls as fast as the degree lets it, or four times on a coarse grid.
        """
        weak, smoother, stuck = 0, True, 0
        while 2 * problem.grid <= self.finest and problem.failures < _FAILURES:
            if self._is_below(problem, _ROUNDING):
                return
            gain = self._try(problem, 2 * problem.grid, problem.best.degree)
            if self._is_below(problem, _FLOOR):
                problem.failures = 0 if gain >= _WORTH else _FAILURES
            else:
                problem.failures = 0 if gain >= 1.1 else problem.failures + 1
            # the error has fallen as fast as the degree lets it: a higher one lets it fall faster
            degree = problem.best.degree
            smooth = gain > 2 ** (_SMOOTH * 2 * (degree + 1))
            if smooth and smoother and degree + 2 <= self.smoothest:
                smoother = self._try(problem, problem.grid, degree + 2) > 2
            rough = gain < 2 ** (_ROUGH * 2 * (degree + 1))
            # on fewer cells the derivative that tells where to go cannot be told from its means
            rough = rough and problem.best.grid >= 4 * (degree + 1)
            if deep and rough and stuck < _FAILURES:
                stuck += not self._relocate(problem)
            weak = weak + 1 if rough or gain < _WORTH else 0
            if not deep and weak == _FAILURES:
                return

    def _relocate(self, problem: Problem) -> bool:
        """Fit with the knots where the error is, again while that pays; tell whether it did."""
        start = problem.best_value
        for _ in range(_MOVES):
            before = problem.best_value
            if self._is_below(problem, _FLOOR):
                break
            problem.relocate()
            self._solve(problem, fresh=False)
            if before < 2 * problem.best_value:
                break
        pays = start >= 2 * problem.best_value
        if pays:
            problem.failures = 0
        return pays

    def _try(self, problem: Problem, grid: int, degree: int) -> float:
        """Fit on another grid or with another degree; give the ratio of losses before and after."""
        before = problem.best_value
        problem.refine(grid, degree)
        if problem.size > self.data.equations:
            problem.failures = _FAILURES
            return 0.0
        self._solve(problem, fresh=False)
        return before / max(problem.best_value, 1e-300)


@contextmanager
def _kept(problem: Problem, tried: list[Problem]) -> Iterator[None]:
    """Let a problem take the last place of `tried` if it gets better, even by an interrupt."""
    try:
        yield
    finally:
        if problem.best_value < tried[-1].best_value:
            tried[-1] = problem


@torch.no_grad()
def switch_off(model: KAN, nodes: Sequence[int]) -> KAN:
    """Copy a network and switch off all but the first nodes of each kind in each hidden layer."""
    model = copy.deepcopy(model)
    parts = model.parts()
    for (layer, kinds), (following, _), kept in zip(parts[:-1], parts[1:], nodes, strict=True):
        for node in range(len(kinds)):
            place = node if node < kinds.sums else node - kinds.sums
            if place < kept:
                continue
            following.mask[:, node] = False
            for j in kinds.sums_of(node):
                layer.mask[j] = False
    return model


@torch.no_grad()
def stretch_inputs(model: KAN, x: Tensor) -> None:
    """Let a fresh network bend over the range of x, in whatever unit x comes, in place."""
    layer, _ = model.parts()[0]
    if len(layer.locks) == 0:
        layer.basis = adapt(model, x).parts()[0][0].basis  # the coefficients stay


@torch.no_grad()
def scale_outputs(model: KAN, y: Tensor) -> None:
    """Give the outputs of a fresh network the mean and the spread of y, in place."""
    layer, nodes = model.parts()[-1]
    if len(layer.locks):
        return
    one, _ = layer.basis.line()
    edges = layer.mask.sum(1).clamp_min(1)
    for output in range(len(nodes)):
        spread, mean = y[:, output].std(), y[:, output].mean()
        if output < nodes.sums:
            layer.coef[output] *= 3**0.5 * spread
            layer.coef[output] += mean / edges[output] * one
        else:
            layer.coef[nodes.sums_of(output).start] *= 3**0.5 * spread


def active_nodes(model: KAN) -> tuple[int, ...]:
    """Count the inputs, hidden nodes and outputs that have edges on both sides."""
    parts = model.parts()
    counts = [model.in_features]
    for (_, _), (following, _) in zip(parts[:-1], parts[1:], strict=True):
        counts.append(int(following.active.any(0).sum()))
    return (*counts, model.out_features)
