"""Put exact numbers in the place of fitted constants, where the data do not object."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

import torch

from edgewise._network import KAN
from edgewise._symbolic._evidence import Estimate, Evidence, Place, locks
from edgewise._symbolic._match import edge_curve
from edgewise._symbolic._snap import Exact, snap

_STEPS = 20


def make_exact(
    model: KAN, evidence: Evidence, given: Mapping[str, float] = MappingProxyType({})
) -> tuple[KAN, dict[Place, Exact]]:
    """Replace constants by exact numbers, the plainest first, and refit the others after each."""
    exact: dict[Place, Exact] = {}
    refused: set[Place] = set()
    with evidence.until_stopped():
        model, loss = evidence.refit(model, _STEPS, 1e-8)
        while (found := _plainest(model, evidence, refused, given)) is not None:
            place, number = found
            trial, trial_loss = evidence.refit(_with(model, place, number), _STEPS, 1e-8)
            if evidence.is_as_good(trial_loss, loss):
                model, loss, exact[place] = trial, trial_loss, number
            else:
                refused.add(place)
    return model, exact


def _plainest(
    model: KAN, evidence: Evidence, refused: set[Place], given: Mapping[str, float]
) -> tuple[Place, Exact] | None:
    """The shortest exact number that a constant may stand for, of those not tried."""
    found = [
        (number.bits, estimate.place, number)
        for estimate in evidence.estimates(model)
        if estimate.place not in refused
        and (number := _exact_for(estimate, model, evidence, given)) is not None
    ]
    return min(found)[1:] if found else None


def _with(model: KAN, place: Place, number: Exact) -> KAN:
    """Copy a network with one constant replaced for good."""
    model = copy.deepcopy(model)
    lock = locks(model)[place.edge]
    with torch.no_grad():
        lock.constants[place.which] = number.value
        lock.free[place.which] = False
    return model


def _exact_for(
    estimate: Estimate, model: KAN, evidence: Evidence, given: Mapping[str, float]
) -> Exact | None:
    place, value, error = estimate
    if math.isinf(error):  # others can do what it does: a scale may be 1, a shift 0
        plain = (math.copysign(1.0, value), 0.0)[place.which % 2]
        return Exact(plain, abs(plain), Fraction(plain), "1")
    return snap(value, error, _size(model, place, evidence), given)


def _size(model: KAN, place: Place, evidence: Evidence) -> float:
    """The size at which a constant matters, which a zero is measured against."""
    u, v = edge_curve(model, place.edge, evidence.data.x)
    a, _, c, _ = (abs(value) for value in locks(model)[place.edge].constants.tolist())
    return (a, a * float(u.abs().max()), c, float(v.std()))[place.which]
