"""The verb: read a formula off a fitted network."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from edgewise._errors import ConfigError
from edgewise._fit import Monitor, Squared, check, split
from edgewise._network import KAN
from edgewise._primitives import PRIMITIVES, Library
from edgewise._symbolic._beam import search
from edgewise._symbolic._eliminate import eliminate
from edgewise._symbolic._evidence import Evidence, Place, locks, numeric_edges
from edgewise._symbolic._exact import make_exact
from edgewise._symbolic._formula import Constant, Formula, evaluate, write
from edgewise._symbolic._gauge import fix_gauge
from edgewise._symbolic._plainer import make_plainer
from edgewise._symbolic._snap import Exact

_STEPS = 200


def symbolize(
    model: KAN,
    x: Any,
    y: Any,
    *,
    names: Sequence[str] | None = None,
    library: Library = PRIMITIVES,
    constants: Mapping[str, float] | None = None,
    held_out: float | tuple[Any, Any] = 0.2,
    seed: int = 0,
    time: float | None = None,
    progress: bool = True,
) -> Formula:
    """Find a formula for a fitted network: a primitive for each edge, with constants that fit.

    Edges that explain noise only are dropped. The edge that is easiest to tell is locked first;
    after each lock all constants and the remaining splines are refitted to the data. Where several
    primitives fit, several networks are carried on side by side, and the best at the end is taken:
    by its error and its complexity together. An edge that no primitive explains stays numeric.
    At the end redundant constants are removed, and constants that an exact number explains (an
    integer, a fraction, a multiple of pi, ...) are replaced by it. Ctrl-C ends the search and
    returns what was found by then, with the remaining edges numeric.

    Args:
        model: A fitted network, pruned if possible; it is not changed. Edges that are locked stay
            so.
        x: Inputs, (batch, inputs).
        y: Targets, (batch, outputs) or, for one output, (batch,). For a classifier, its outputs.
        names: What the inputs are called in print; x_1, x_2, ... by default.
        library: The primitives to choose from.
        constants: Named numbers that may stand in the formula, such as {"c": 299792458.0}.
        held_out: The share of the rows on which the error is measured and which nothing is fitted
            to, or a pair (x, y) of such rows.
        seed: Seed of the rows held out.
        time: A budget in seconds; edges that are not locked by then stay numeric.
        progress: Whether to show a progress bar on standard error.

    Returns:
        The formula, with the standard errors of its constants, its error on the rows held out,
        and its `extrapolation`: the error on the outermost fifth of the rows after a refit to the
        inner ones. It is exact only where `verified` says so; `gaps` tells where it has no value.

    Raises:
        ShapeError: If the shapes of x and y do not go with the network.
        DataError: If values are missing, or the network does not explain the data.
        ConfigError: If the number of names is wrong.

    Example:
        >>> y = torch.sin(3 * x[:, :1]) + x[:, 1:] ** 2
        >>> result = ew.fit(ew.KAN([2, 1]), x, y, seed=0, progress=False)
        >>> print(ew.symbolize(result.model, x, y, progress=False).expr)
        x_2**2 + sin(3*x_1)
    """
    names = (
        tuple(names) if names is not None else tuple(f"x_{i + 1}" for i in range(model.in_features))
    )
    if len(names) != model.in_features:
        raise ConfigError(f"The network has {model.in_features} inputs, got {len(names)} names.")
    given = {str(name): float(value) for name, value in (constants or {}).items()}
    x, y = check(model, x, y, Squared())
    data = split(x, y, held_out, model, Squared(), seed)
    with Monitor(time, progress, "symbolize") as monitor:
        evidence = Evidence(copy.deepcopy(model).to(torch.float64), data, monitor)
        read = evidence.model
        exact: dict[Place, Exact] = {}
        with evidence.until_stopped():
            read = search(eliminate(read, evidence), evidence, library)
            if not locks(model):  # words that the user has chosen stay
                read = make_plainer(read, evidence, library)
            read = eliminate(fix_gauge(read), evidence)
            read, _ = evidence.refit(read, _STEPS)
            read, exact = make_exact(fix_gauge(read), evidence, given)
    return _formula(read, exact, names, evidence, given)


def _formula(
    model: KAN,
    exact: dict[Place, Exact],
    names: tuple[str, ...],
    evidence: Evidence,
    given: Mapping[str, float],
) -> Formula:
    """Write the result down and measure it on the rows held out."""
    constants = [
        Constant(place.edge, "abcd"[place.which], value, error)
        for place, value, error in evidence.estimates(model)
    ]
    constants += [
        Constant(place.edge, "abcd"[place.which], number.value, 0.0, number.sympy())
        for place, number in exact.items()
    ]
    held = evidence.data.y_held
    exprs = write(model, exact)
    with torch.no_grad():
        network = evidence.rmse(evidence.model(evidence.data.x_held))
        rmse = evidence.rmse(evaluate(exprs, model, evidence.data.x_held, given))
    x = torch.cat([evidence.data.x, evidence.data.x_held])
    return Formula(
        exprs=exprs,
        rmse=rmse,
        network_rmse=network,
        spread=float((held - held.mean(0)).square().mean().sqrt()),
        constants=tuple(constants),
        numeric=numeric_edges(model),
        finished=not evidence.stopped,
        names=names,
        model=model.requires_grad_(False),
        extrapolation=evidence.extrapolation(model, _STEPS),
        given={k: v for k, v in given.items() if k in {n.unit for n in exact.values()}},
        ranges=tuple(zip(x.amin(0).tolist(), x.amax(0).tolist(), strict=True)),
    )
