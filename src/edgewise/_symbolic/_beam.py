"""Lock edge after edge, the easiest first, with the best few networks side by side."""

from __future__ import annotations

from typing import NamedTuple

from edgewise._network import KAN
from edgewise._primitives import Library
from edgewise._symbolic._evidence import Evidence, locks, numeric_edges
from edgewise._symbolic._match import Match, edge_curve, match_all, rank, with_lock
from edgewise._types import Edge

_WIDTH = 4
_CANDIDATES = 5
_CERTAIN = 1e-3
"""A match is certain when it leaves this share of what the next best leaves unexplained."""
_STEPS = 8
_DRAWN = 18.0
"""What a numeric edge costs beside its coefficients, in nats: more than any word. A spline on few
intervals has as few numbers as a word, but it can only be drawn."""


class State(NamedTuple):
    """A network with some edges locked, and its error and complexity together, in nats."""

    model: KAN
    cost: float


def search(model: KAN, evidence: Evidence, library: Library) -> KAN:
    """Lock all edges of a network that a primitive explains."""
    states = [_state(model, evidence.loss_of(model), evidence)]
    with evidence.until_stopped():  # the remaining edges stay numeric
        for edge in _by_doubt(model, evidence, library):
            following: list[State] = []
            for state in states:
                following += _extend(state, edge, evidence, library)
            states = _distinct(following)[:_WIDTH]
    return min(states, key=lambda state: state.cost).model


def _by_doubt(model: KAN, evidence: Evidence, library: Library) -> list[Edge]:
    """Order the numeric edges that a primitive may explain, the easiest to tell first."""
    doubts = {}
    for edge in numeric_edges(model):
        evidence.monitor.check_time()
        matches = _matches(model, edge, evidence, library)
        if matches:
            doubts[edge] = _doubt(matches, evidence.resolution)
    return sorted(doubts, key=lambda edge: doubts[edge])


def _extend(state: State, edge: Edge, evidence: Evidence, library: Library) -> list[State]:
    """Lock an edge in all ways worth trying, or leave it numeric."""
    matches = _matches(state.model, edge, evidence, library)
    if not matches:
        return [state]
    certain = _doubt(matches, evidence.resolution) < _CERTAIN
    states = [state]
    for match in matches[: 1 if certain else _CANDIDATES]:
        model, loss = evidence.refit(with_lock(state.model, edge, match), _STEPS)
        states.append(_state(model, loss, evidence))
    return states


def _state(model: KAN, loss: float, evidence: Evidence) -> State:
    cost = evidence.cost(model, loss) + _DRAWN * len(numeric_edges(model))
    return State(model, cost)


def _matches(model: KAN, edge: Edge, evidence: Evidence, library: Library) -> list[Match]:
    u, v = edge_curve(model, edge, evidence.data.x)
    return rank(_without_twins(match_all(u, v, library)), evidence.resolution)


def _doubt(matches: list[Match], resolution: float) -> float:
    """How much of what the next best match leaves unexplained the best leaves too."""
    best = max(1 - matches[0].r2, resolution)
    others = [max(1 - match.r2, resolution) for match in matches[1:]]
    return best / min(others, default=1.0)


def _without_twins(matches: list[Match]) -> list[Match]:
    """Drop a cosine where there is a sine: they differ by a phase only."""
    if any(match.primitive.gauge == "sine" for match in matches):
        return [match for match in matches if match.primitive.gauge != "cosine"]
    return matches


def _distinct(states: list[State]) -> list[State]:
    """Order states by cost; of those that lock the same edges to the same primitives keep one."""
    best: dict[object, State] = {}
    for state in sorted(states, key=lambda state: state.cost):
        words = frozenset((edge, lock.primitive.name) for edge, lock in locks(state.model).items())
        best.setdefault(words, state)
    return list(best.values())
