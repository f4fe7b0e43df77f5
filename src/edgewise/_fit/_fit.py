"""The verb: fit a network to data."""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal

import torch

from edgewise._errors import ConfigError
from edgewise._fit._data import Data, check, check_share, split
from edgewise._fit._journal import Journal, fingerprint
from edgewise._fit._losses import LOSSES, CrossEntropy, Loss
from edgewise._fit._monitor import Monitor, OutOfTime
from edgewise._fit._problem import Problem
from edgewise._fit._result import FitResult, Outcome, Status, Step, Trial
from edgewise._fit._search import Search, active_nodes
from edgewise._fit._solver import Solver
from edgewise._fit._solvers import SOLVERS, choose
from edgewise._fit._stream import Stream
from edgewise._fit._team import Team
from edgewise._network import KAN

_NO_LIMIT = 10**6
_SMOOTHEST = 9


def fit(
    model: KAN,
    x: Any,
    y: Any = None,
    *,
    weights: Any = None,
    solver: Solver
    | Literal["auto", "levenberg-marquardt", "gauss-newton-cg", "lbfgs", "adam"] = "auto",
    loss: Loss | Literal["squared", "huber", "cross-entropy"] = "squared",
    held_out: float | tuple[Any, ...] = 0.2,
    refine: bool | int = True,
    elevate: bool | int = True,
    starts: int = 4,
    sparse: bool = True,
    continual: bool = False,
    seed: int | None = None,
    time: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    watch: Callable[[Step, KAN], object] | None = None,
    snapshots: bool = False,
    progress: bool = True,
) -> FitResult:
    """Fit a network to data, and return the one with the least error on rows held out.

    A network that does not explain the data yet is fitted from several random starts on its coarse
    grid, with few hidden nodes first (nodes that are not needed stay switched off: `prune` removes
    them). Then the grids are refined while the held-out error falls. A network that explains 90 %
    of the data already is fitted further from where it stands. Ctrl-C ends the fit and returns the
    best so far.

    Rows that do not fit into memory come in chunks. Where `torch.distributed` is set up (`torchrun`
    and `init_process_group`), every process calls `fit` with its own rows, or all with the same
    `Parquet`, and gets the same network: sums over rows are all-reduced in every step.

    Args:
        model: The network; it is not changed. Locked edges stay locked, their constants are fitted.
            Edges with bounds (see `bound`) keep them.
        x: Inputs, (batch, inputs): a tensor or a NumPy array. Or, without y, rows in chunks: a
            `Parquet`, or what gives pairs (x, y) or triples (x, y, weights) each time it is gone
            through, such as a list or a DataLoader.
        y: Targets, (batch, outputs) or, for one output, (batch,); for cross-entropy class numbers,
            (batch,).
        weights: How much each row counts, (batch,), 0 or more; all the same by default.
        solver: How steps are made. "auto" takes Levenberg–Marquardt up to some 2,000 parameters
            (5,000 on few edges) and for a network with bounds, which the others do not keep;
            conjugate gradients up to some 5,000, beyond that L-BFGS, and Adam when there are many
            rows.
        loss: What is made small.
        held_out: The share of the rows that is held out, or a pair (x, y) or triple (x, y,
            weights) of such rows. Of chunks at most 100,000 rows are held out.
        refine: Whether to make the grids finer while that helps, or the largest grid to go to.
        elevate: Whether to raise the degree of the splines where refinement shows that the function
            is smooth, or the highest degree to go to. Nothing is raised unless grids are refined.
        starts: Random starts for each size of network (with Levenberg–Marquardt).
        sparse: Whether to try networks with fewer hidden nodes (with Levenberg–Marquardt).
        continual: Whether what the rows do not touch stays as it is, for data that come in one part
            after the other. The network is fitted from where it stands, on its grids as they are:
            no starts, no smaller networks, no other grids or degrees. A coefficient whose basis
            function is zero on all rows keeps its value to the last bit, and one that rows hardly
            touch is held near it. So lay the grids of the inputs over all that will come: `domain`
            of `KAN`. See the guide for what this means in several inputs and layers.
        seed: Seed of starts and of the rows held out; by default drawn anew.
        time: A budget in seconds, after which the best network so far is returned.
        checkpoint: A folder that keeps what was reached. A fit that was killed and is called again
            with the same arguments, `seed` among them, goes on from there to the same result.
        watch: What is called after every step that is taken, with the step and a copy of the
            network, also for starts that lead to nothing. What it raises ends the fit; a
            KeyboardInterrupt lets it return the best so far. Steps that a checkpoint brings back
            are not shown again.
        snapshots: Whether to keep the network of every step that led to the result: see
            `FitResult.snapshots` and `plot.film`.
        progress: Whether to show a progress bar on standard error.

    Returns:
        The fitted network, how the fit ended, its errors and its history.

    Raises:
        ShapeError: If the shapes of x and y do not go with the network.
        DataError: If values are missing or infinite, columns are constant, or rows are too few.
        ConfigError: If a setting is not accepted.

    Example:
        >>> y = torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)
        >>> result = ew.fit(ew.KAN([2, 5, 1]), x, y, seed=0, refine=6, progress=False)
        >>> result.held_out < 0.05
        True
    """
    chosen_loss = _named(loss, LOSSES, Loss)
    if starts < 1:
        raise ConfigError(f"A fit needs at least one start, got starts={starts}.")
    if time is not None and not time > 0:
        raise ConfigError(f"time is a budget in seconds and must be positive, got {time}.")
    if not isinstance(refine, bool) and refine < model.grid:
        raise ConfigError(
            f"refine is the largest grid to go to: {refine} is less than the model's {model.grid}."
        )
    if snapshots and checkpoint is not None:
        raise ConfigError("A checkpoint keeps no snapshots: ask for one of them only.")
    team = Team()
    if checkpoint is not None and seed is None:
        raise ConfigError("A fit with a checkpoint needs a seed, to be the same when it goes on.")
    seed = team.first(random.SystemRandom().randrange(2**31) if seed is None else seed)
    data = _data(model, x, y, weights, held_out, chosen_loss, seed, team)
    if continual:
        _check_covered(model, data)
    work = copy.deepcopy(model).to(torch.float64)

    parameters = sum(p.numel() for p in model.parameters())
    rows = data.equations // (1 if data.y.ndim == 1 else data.y.shape[1])
    edges = sum(int(layer.mask.sum()) for layer, _ in model.parts())
    bounded = any(layer.bounds for layer, _ in model.parts())
    if solver == "auto":
        chosen = choose(parameters, edges, rows, bounded=bounded)
    else:
        chosen = _named(solver, SOLVERS, Solver)
    if bounded and not chosen.keeps_bounds:
        raise ConfigError(
            f"{chosen.name} does not keep the bounds of edges, and this network has some: fit it "
            'with solver="levenberg-marquardt", or take them off with unbound.'
        )
    locked = any(len(layer.locks) for layer, _ in model.parts())
    tried: list[Problem] = []
    with Monitor(
        time, progress and team.rank == 0, team=team, watch=watch, snapshots=snapshots
    ) as monitor:
        settings = (starts, sparse, seed, refine, elevate, chosen, chosen_loss)
        settings += (continual,) * continual  # others have the checkpoints that they had
        bounds = [layer.bounds for layer, _ in model.parts()]
        settings += tuple(sorted((e, sorted(k)) for e, k in held.items()) for held in bounds)
        search = Search(
            solver=chosen,
            data=data,
            loss=chosen_loss,
            monitor=monitor,
            starts=starts if chosen.cheap_starts and not locked else 1,
            sparse=sparse and chosen.cheap_starts and not locked,
            finest=refine if not isinstance(refine, bool) else (_NO_LIMIT if refine else 0),
            smoothest=elevate if not isinstance(elevate, bool) else (_SMOOTHEST if elevate else 0),
            generator=torch.Generator(device=model.device).manual_seed(seed),
            journal=None
            if checkpoint is None
            else Journal(
                checkpoint, monitor, fingerprint(work, data, settings), writes=team.rank == 0
            ),
            continual=continual,
        )
        try:
            search.run(work, tried)
            outcome = Outcome.CONVERGED
        except OutOfTime:
            outcome = Outcome.OUT_OF_TIME
        except KeyboardInterrupt:
            if not tried:
                raise
            outcome = Outcome.INTERRUPTED
        seconds = monitor.seconds
    best = search.pick(tried)
    return _result(best, tried, model, outcome, search, seconds)


def _data(
    model: KAN,
    x: Any,
    y: Any,
    weights: Any,
    held_out: Any,
    loss: Loss,
    seed: int,
    team: Team,
) -> Data:
    """Check the rows, and hold some out."""
    if y is None and not isinstance(x, Iterable):
        raise ConfigError(f"Without y, x gives the rows in chunks. Got {type(x).__name__}.")
    if y is None and weights is not None:
        raise ConfigError("Chunks bring their weights along: (x, y, weights).")
    if y is not None:
        x, y = check(model, x, y, loss)
        if team.size == 1:
            return split(x, y, held_out, model, loss, seed, weights)
    chunks = x if y is None else [(x, y) if weights is None else (x, y, weights)]
    stream = Stream(chunks, model, loss, seed, team)
    if not isinstance(held_out, tuple):
        return stream.survey(check_share(held_out))
    surveyed = stream.survey(0.0)
    given = split(surveyed.x, surveyed.y, held_out, model, loss, seed)
    return replace(
        surveyed, x_held=given.x_held, y_held=given.y_held, weights_held=given.weights_held
    )


def _check_covered(model: KAN, data: Data) -> None:
    """Check that the grids of the inputs, which are to stay, cover the rows."""
    low, high = model.parts()[0][0].basis.domain.unbind(-1)
    least = torch.minimum(data.x.amin(0), data.x_held.amin(0))
    most = torch.maximum(data.x.amax(0), data.x_held.amax(0))
    slack = 1e-9 * (high - low)
    for i in range(model.in_features):
        if least[i] < low[i] - slack[i] or most[i] > high[i] + slack[i]:
            raise ConfigError(
                f"In a continual fit grids stay, and the one of input {i} covers {float(low[i]):g} "
                f"to {float(high[i]):g}, but x goes from {float(least[i]):g} to "
                f"{float(most[i]):g}. Begin with grids over all that will come: "
                "KAN(..., domain=...), or adapt a network to it."
            )


def _result(
    best: Problem,
    tried: list[Problem],
    model: KAN,
    outcome: Outcome,
    search: Search,
    seconds: float,
) -> FitResult:
    loss, data, outputs = search.loss, search.data, model.out_features
    fitted = best.best.to(model.dtype)  # it was fitted in float64: measure what is returned
    final = Problem(fitted, data, loss, search.monitor)
    train, held = final.errors()
    unexplained = best.best_value / max(best.null_value(), 1e-300)
    return FitResult(
        model=fitted,
        status=_status(outcome, unexplained, seconds, search),
        history=tuple(best.history),
        trials=tuple(
            Trial(active_nodes(p.best), p.best.grid, loss.error(p.best_value, outputs))
            for p in tried
        ),
        train=train,
        held_out=held,
        measure=loss.measure,
        solver=search.solver.name,
        seconds=seconds,
        snapshots=tuple(snapshot.to(model.dtype) for snapshot in best.snapshots),
    )


def _status(outcome: Outcome, unexplained: float, seconds: float, search: Search) -> Status:
    """Say how it ended and what to do next."""
    if outcome is Outcome.OUT_OF_TIME:
        message = f"Stopped after {seconds:.0f} s as asked; more time may lower the error."
    elif outcome is Outcome.INTERRUPTED:
        message = "Interrupted: this is the best so far. Call fit on it to go on."
    elif unexplained > 0.5:
        outcome = Outcome.POOR
        message = (
            f"The network leaves {100 * unexplained:.0f} % of the held-out loss of a constant. "
            "Try more nodes or layers, more starts, or other inputs; or the data hold no more."
        )
    elif unexplained < 1e-20 and not isinstance(search.loss, CrossEntropy):
        outcome = Outcome.PERFECT
        message = "The held-out error has come down to rounding."
    elif search.continual:
        message = "Further steps no longer lower the held-out error; grids are as they were."
    else:
        message = "Finer grids no longer lower the held-out error."
    return Status(outcome, message)


def _named(choice: Any, known: dict[str, Any], kind: type[Any]) -> Any:
    """Look a setting up by its name, or take the object that was given."""
    if isinstance(choice, kind):
        return choice
    if not isinstance(choice, str) or choice not in known:
        names = ", ".join(repr(name) for name in known)
        raise ConfigError(
            f"There is no {kind.__name__.lower()} {choice!r}. Known are {names}, or an object."
        )
    return known[choice]
