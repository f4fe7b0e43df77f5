"""pykan's `kan.experiment`: a sweep of pruning and refining, and its front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from edgewise._errors import ConfigError


def runner1(
    width: list[Any],
    dataset: dict[str, Tensor],
    grids: Sequence[int] = (5, 10, 20),
    steps: int = 20,
    lamb: float = 0.001,
    prune_round: int = 3,
    refine_round: int = 3,
    edge_th: float = 1e-2,
    node_th: float = 1e-2,
    metrics: Sequence[Callable[..., Any]] | None = None,
    seed: int = 1,
) -> dict[str, np.ndarray]:
    """Fit with a penalty and prune, several times; refine what each round leaves.

    Each round goes on from the network that the last one pruned, before it was refined.

    Args:
        width: The widths of the first network.
        dataset: The rows.
        grids: The grids to refine to, in turn.
        steps: The steps of each fit.
        lamb: The weight of the penalty in the fits before pruning.
        prune_round: How many times to prune.
        refine_round: How many of the grids each round takes.
        edge_th: Edges below this score go.
        node_th: Nodes below this score go.
        metrics: Functions (model, dataset) to a number, recorded under their names.
        seed: The seed of the first network.

    Returns:
        Arrays over the stages: test_loss, c (edges), G (grid), id (round.state), and the metrics.

    Raises:
        ConfigError: If there are fewer grids than `refine_round`.
    """
    if len(grids) < refine_round:
        raise ConfigError(f"refine_round={refine_round} needs as many grids, got {len(grids)}.")
    from edgewise.compat.pykan._network import KAN

    columns = {"test_loss": "test_loss", "c": "n_edge", "G": "n_grid"}
    result: dict[str, list[Any]] = {name: [] for name in (*columns, "id")}
    result |= {metric.__name__: [] for metric in metrics or ()}

    def record(model: Any) -> None:
        evaluation = model.evaluate(dataset)
        for name, source in columns.items():
            result[name].append(evaluation[source])
        result["id"].append(f"{model.round}.{model.state_id}")
        for metric in metrics or ():
            result[metric.__name__].append(float(metric(model, dataset)))

    model = KAN(width=width, grid=grids[0], seed=seed, auto_save=False)
    for _ in range(prune_round):
        model.fit(dataset, steps=steps, lamb=lamb)
        model = model.prune(edge_th=edge_th, node_th=node_th)
        record(model)
        finer = model
        for grid in grids[:refine_round]:
            finer = finer.refine(grid)
            finer.fit(dataset, steps=steps)
            record(finer)
    return {name: np.array(values) for name, values in result.items()}


def pareto_frontier(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take the points that no other point beats in both coordinates (less is better).

    Of points that coincide the first is taken; pykan drops them all.

    Args:
        x: (points,).
        y: (points,).

    Returns:
        The coordinates of the front, and the indices of its points.

    Example:
        >>> from edgewise.compat.pykan import pareto_frontier
        >>> x, y, ids = pareto_frontier(np.array([1, 2, 3]), np.array([3.0, 1.0, 2.0]))
        >>> ids.tolist()
        [0, 1]
    """
    x, y = np.asarray(x), np.asarray(y)
    no_worse = (x[:, None] <= x) & (y[:, None] <= y)  # whether i is no worse than j
    same = (x[:, None] == x) & (y[:, None] == y)
    first = np.triu(np.ones_like(same), 1).astype(bool)
    beaten = ((no_worse & ~same) | (same & first)).any(0)
    front = np.flatnonzero(~beaten)
    return x[front], y[front], front
