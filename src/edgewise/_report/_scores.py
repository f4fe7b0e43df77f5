"""Errors on rows that nothing was fitted to, beside two methods from scikit-learn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgewise._errors import require

_FEW = 100_000  # so many values can exact trees be grown from in seconds


@dataclass(frozen=True)
class Rows:
    """Three sets of rows without a row in common.

    Attributes:
        x: Inputs that are fitted.
        y: Their targets, (batch, 1).
        x_choose: Inputs on which sizes and grids are chosen.
        y_choose: Their targets.
        x_test: Inputs on which errors are measured, and which nothing else sees.
        y_test: Their targets.
    """

    x: Tensor
    y: Tensor
    x_choose: Tensor
    y_choose: Tensor
    x_test: Tensor
    y_test: Tensor


@dataclass(frozen=True)
class Score:
    """What a method achieves on the test rows.

    Attributes:
        name: The method.
        detail: Its settings in a few words.
        rmse: The root mean square error, in units of the target; infinite where it has no value.
        r2: The share of the variance that it explains.
    """

    name: str
    detail: str
    rmse: float
    r2: float


def score(name: str, detail: str, prediction: Tensor, rows: Rows) -> Score:
    """Measure predictions for the test rows."""
    error = float((prediction.double() - rows.y_test).square().mean())
    if not math.isfinite(error):
        return Score(name, detail, math.inf, -math.inf)
    variance = float((rows.y_test - rows.y_test.mean()).square().mean())
    return Score(name, detail, math.sqrt(error), 1 - error / variance if variance else -math.inf)


def rivals(rows: Rows, seed: int) -> list[Score]:
    """Fit a linear model and gradient boosting to the same rows, and measure them."""
    linear = require("sklearn.linear_model", "cli").LinearRegression()
    boosting, detail = _chosen_boosting(rows, seed)
    found = []
    for name, about, method in (
        ("linear model", "least squares", linear),
        ("gradient boosting", f"scikit-learn, {detail}", boosting),
    ):
        # what was chosen by some rows may learn from them too
        x = torch.cat([rows.x, rows.x_choose]).numpy()
        y = torch.cat([rows.y, rows.y_choose])[:, 0].numpy()
        method.fit(x, y)
        prediction = torch.as_tensor(method.predict(rows.x_test.numpy())).reshape(-1, 1)
        found.append(score(name, about, prediction, rows))
    return found


def _chosen_boosting(rows: Rows, seed: int) -> tuple[Any, str]:
    """Gradient boosting with those of a few usual settings that do best on the choosing rows."""
    ensemble = require("sklearn.ensemble", "cli")
    clone = require("sklearn.base", "cli").clone
    candidates = {
        f"histogram, {trees} trees, rate {rate}": ensemble.HistGradientBoostingRegressor(
            max_iter=trees, learning_rate=rate, early_stopping=False, random_state=seed
        )
        for trees, rate in ((100, 0.1), (500, 0.1), (300, 0.03))
    }
    if rows.x.numel() <= _FEW:
        candidates |= {
            f"{trees} trees of depth {depth}": ensemble.GradientBoostingRegressor(
                n_estimators=trees, max_depth=depth, subsample=0.7, random_state=seed
            )
            for trees, depth in ((300, 3), (500, 5))
        }
    x, y = rows.x.numpy(), rows.y[:, 0].numpy()

    def error(name: str) -> float:
        prediction = clone(candidates[name]).fit(x, y).predict(rows.x_choose.numpy())
        return float(np.square(prediction - rows.y_choose[:, 0].numpy()).mean())

    best = min(candidates, key=error)
    return candidates[best], best
