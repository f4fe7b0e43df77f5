"""Lock edge after edge, the easiest first, with the best few networks side by side."""

from __future__ import annotations

from dataclasses import dataclass

from edgewise._fit import OutOfTime
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


@dataclass(frozen=True)
class State:
    """A network with some edges locked.

    Attributes:
        model: The network, refitted.
        cost: Error and complexity together, in nats; less is better.
        settled: Numeric edges that are to stay so.
    """

    model: KAN
    cost: float
    settled: frozenset[Edge] = frozenset()

    def open_edges(self) -> list[Edge]:
        """List the numeric edges that are not settled yet."""
        return [edge for edge in numeric_edges(self.model) if edge not in self.settled]


def search(evidence: Evidence, library: Library) -> KAN:
    """Lock all edges of the evidence's network that a primitive explains."""
    start = evidence.model
    states, done = [State(start, evidence.cost(start, evidence.loss))], []
    try:
        while states:
            following: list[State] = []
            for state in states:
                following += _extend(state, evidence, library) if state.open_edges() else []
                done += [] if state.open_edges() else [state]
            states = _distinct(following)[:_WIDTH]
    except OutOfTime:
        done += states
    return min(done, key=lambda state: state.cost).model


def _extend(state: State, evidence: Evidence, library: Library) -> list[State]:
    """Lock the edge that is easiest to tell in all ways worth trying, or leave it numeric."""
    ranked = {}
    for edge in state.open_edges():
        u, v = edge_curve(state.model, edge, evidence.data.x)
        matches = _without_twins(match_all(u, v, library))
        if matches:
            ranked[edge] = rank(matches, evidence.resolution)
    if not ranked:
        return [State(state.model, state.cost, frozenset(state.open_edges()) | state.settled)]
    doubts = {edge: _doubt(matches, evidence.resolution) for edge, matches in ranked.items()}
    edge = min(doubts, key=lambda e: doubts[e])
    tried = ranked[edge][: 1 if doubts[edge] < _CERTAIN else _CANDIDATES]
    states = [State(state.model, state.cost, state.settled | {edge})]
    for match in tried:
        model, loss = evidence.refit(with_lock(state.model, edge, match), _STEPS)
        states.append(State(model, evidence.cost(model, loss), state.settled))
    return states


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
        best.setdefault((state.settled, words), state)
    return list(best.values())
