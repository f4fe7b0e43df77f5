"""Drop edges that explain noise only: those that are not worth what it costs to write them."""

from __future__ import annotations

import copy

from edgewise._network import KAN
from edgewise._prune import attribute, prune
from edgewise._symbolic._evidence import Evidence
from edgewise._types import Edge

_STEPS = 10
_CARRIES = 0.2
"""An edge with a higher score carries too much to be noise: dropping it is not tried."""


def eliminate(model: KAN, evidence: Evidence) -> KAN:
    """Drop edges, the weakest first, while error and complexity together fall."""
    cost = evidence.cost(model, evidence.loss_of(model))
    with evidence.until_stopped():
        edges = _weak_edges(model, evidence)
        while edges:
            without = _without(model, edges.pop(0), evidence)
            if without is None:
                continue
            trial, loss = evidence.refit(without, _STEPS)
            if evidence.cost(trial, loss) < cost:
                model, cost = trial, evidence.cost(trial, loss)
                edges = _weak_edges(model, evidence)  # they have new numbers
    return model


def _weak_edges(model: KAN, evidence: Evidence) -> list[Edge]:
    """List the edges that may be noise, the weakest first."""
    scores = attribute(model, evidence.data.x).edges
    by_score = sorted(
        (float(scores[edge.layer][edge.target, edge.source]), edge) for edge in model.edges()
    )
    return [edge for score, edge in by_score if score <= _CARRIES]


def _without(model: KAN, edge: Edge, evidence: Evidence) -> KAN | None:
    """Copy a network without an edge and what it alone has fed; None if an output hung on it."""
    model = copy.deepcopy(model)
    layer, _ = model.parts()[edge.layer]
    layer.remove(edge.target, edge.source)
    if edge.layer == len(model.layers) - 1 and not bool(layer.active[edge.target].any()):
        return None
    return prune(model, evidence.data.x, node_threshold=0, edge_threshold=0)
