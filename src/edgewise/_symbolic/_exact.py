"""Put exact numbers in the place of fitted constants, where the data do not object."""

from __future__ import annotations

import copy

import torch

from edgewise._network import KAN
from edgewise._symbolic._evidence import Estimate, Evidence, Place, locks
from edgewise._symbolic._match import edge_curve
from edgewise._symbolic._snap import Exact, snap

_STEPS = 20


def make_exact(model: KAN, evidence: Evidence) -> tuple[KAN, dict[Place, Exact]]:
    """Replace constants by exact numbers, the plainest first, and refit the others after each."""
    exact: dict[Place, Exact] = {}
    refused: set[Place] = set()
    model, loss = evidence.refit(model, _STEPS, 1e-8)
    while True:
        found = [
            (number.bits, estimate.place, number)
            for estimate in evidence.estimates(model)
            if estimate.place not in refused
            and (number := _exact_for(estimate, model, evidence)) is not None
        ]
        if not found:
            return model, exact
        _, place, number = min(found)
        trial = copy.deepcopy(model)
        lock = locks(trial)[place.edge]
        with torch.no_grad():
            lock.constants[place.which] = number.value
            lock.free[place.which] = False
        trial, trial_loss = evidence.refit(trial, _STEPS, 1e-8)
        if evidence.is_as_good(trial_loss, loss):
            model, loss, exact[place] = trial, trial_loss, number
        else:
            refused.add(place)


def _exact_for(estimate: Estimate, model: KAN, evidence: Evidence) -> Exact | None:
    return snap(estimate.value, estimate.error, _size(model, estimate.place, evidence))


def _size(model: KAN, place: Place, evidence: Evidence) -> float:
    """The size at which a constant matters, which a zero is measured against."""
    u, v = edge_curve(model, place.edge, evidence.data.x)
    a, _, c, _ = (abs(value) for value in locks(model)[place.edge].constants.tolist())
    return (a, a * float(u.abs().max()), c, float(v.std()))[place.which]
