"""Put plainer words in the place of those that were locked, where the data do not object.

An edge is matched while others are still splines, and what a spline follows of the noise may look
like a bent word. With all edges locked, the plainer word is judged by the data themselves.
"""

from __future__ import annotations

from edgewise._network import KAN
from edgewise._primitives import Library, Primitive
from edgewise._symbolic._evidence import Evidence, locks
from edgewise._symbolic._match import edge_curve, match_all, with_lock
from edgewise._types import Edge

_STEPS = 10


def make_plainer(model: KAN, evidence: Evidence, library: Library) -> KAN:
    """Try the plainer words on every locked edge, while error and complexity together fall."""
    cost = evidence.cost(model, evidence.loss_of(model))
    edges = list(locks(model))
    with evidence.until_stopped():
        while edges:
            edge = edges.pop(0)
            trial = _plainer(model, edge, evidence, library, cost)
            if trial is not None:
                model, cost = trial
                edges = [e for e in locks(model) if e != edge]  # the others may be plainer now
    return model


def _plainer(
    model: KAN, edge: Edge, evidence: Evidence, library: Library, cost: float
) -> tuple[KAN, float] | None:
    """The best network with a plainer word on an edge, and its cost, if it costs less."""
    now = _weight(locks(model)[edge].primitive)
    words = Library([word for word in library if _weight(word) < now])
    best = None
    for match in match_all(*edge_curve(model, edge, evidence.data.x), words):
        trial, loss = evidence.refit(with_lock(model, edge, match), _STEPS)
        if evidence.cost(trial, loss) < cost:
            best, cost = trial, evidence.cost(trial, loss)
    return None if best is None else (best, cost)


def _weight(word: Primitive) -> int:
    return word.complexity + word.constants
