"""Where no law was found: a formula in which what no primitive explains stays numeric.

A small network says how the inputs go together: a sum of functions of one input each, or a product
of them. `symbolize` names those that have a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

import numpy as np
import torch

from edgewise._errors import EdgewiseError
from edgewise._fit import fit
from edgewise._layer import Lock
from edgewise._network import KAN
from edgewise._primitives import PRIMITIVES
from edgewise._symbolic._discover._tree import Array
from edgewise._symbolic._formula import Formula
from edgewise._symbolic._symbolize import symbolize

_SECONDS = 5.0
_NEAR = 30.0
"""How much more than the best network one may err that is read, too."""


def read_networks(
    x: Array,
    y: Array,
    held: tuple[Array, Array],
    names: tuple[str, ...],
    given: Mapping[str, float],
    limit: float,
    seconds: float = _SECONDS,
) -> list[Formula]:
    """Fit networks in which each input has one function, and name what has a name.

    Args:
        x: Inputs of the rows to fit, (batch, inputs).
        y: Their targets, (batch,).
        held: Rows that are held out.
        names: What the inputs are called.
        given: Named numbers that may stand in the formula.
        limit: The error on the rows held out that they have to stay below.
        seconds: The budget of each fit, and of the reading of each network.

    Returns:
        Formulas, those with the fewest numeric edges first, and of these the one that errs least.
    """
    networks: list[tuple[float, KAN]] = []
    for model in _shapes(y, x.shape[1]):
        with suppress(EdgewiseError):
            result = fit(model, x, y, held_out=held, seed=0, time=seconds, progress=False)
            with torch.no_grad():
                r = result.model(torch.from_numpy(held[0])).numpy()[:, 0] - held[1]
            networks.append((float(np.sqrt(np.mean(r * r))), result.model))
    least = min((error for error, _ in networks), default=0.0)
    formulas: list[Formula] = []
    for error, model in networks:
        if error < min(limit, _NEAR * least):
            with suppress(EdgewiseError):
                formulas.append(
                    symbolize(
                        model,
                        x,
                        y,
                        names=names,
                        constants=given,
                        held_out=held,
                        time=seconds,
                        progress=False,
                    )
                )
    good = [f for f in formulas if f.rmse < limit]
    return sorted(good, key=lambda f: (len(f.numeric), f.rmse))


def _shapes(y: Array, width: int) -> Iterator[KAN]:
    """A sum of functions, the exponential of a sum, and for two inputs a product of two."""
    yield KAN([width, 1])
    if width > 1 and ((y > 0).all() or (y < 0).all()):
        grown = KAN([width, 1, 1])
        constants = torch.tensor([1.0, 0.0, float(np.sign(y[0])), 0.0], dtype=torch.float64)
        lock = Lock(PRIMITIVES["exp"], constants)
        lock.free[:] = False
        grown.parts()[1][0].lock(0, 0, lock)
        yield grown
    if width == 2:
        both = KAN([2, (0, 1)])
        layer = both.parts()[0][0]
        for i in range(2):
            layer.remove(1 - i, i)
        yield both
