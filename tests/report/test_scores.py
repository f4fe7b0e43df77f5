"""Errors on test rows against NumPy's and scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score, root_mean_squared_error

from edgewise._report._scores import Rows, rivals, score


@pytest.fixture(scope="module")
def rows() -> Rows:
    x = torch.rand(150, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = (4 * x[:, :1]).sin() + x[:, 1:]
    return Rows(x[:90], y[:90], x[90:120], y[90:120], x[120:], y[120:])


def test_a_score_is_the_error_and_the_share_explained(rows: Rows) -> None:
    prediction = rows.y_test + torch.linspace(-0.1, 0.3, 30, dtype=torch.float64).unsqueeze(1)
    found = score("mine", "by hand", prediction, rows)
    assert found.rmse == pytest.approx(root_mean_squared_error(rows.y_test, prediction), rel=1e-12)
    assert found.r2 == pytest.approx(r2_score(rows.y_test, prediction), rel=1e-12)


def test_a_prediction_without_a_value_has_an_infinite_error(rows: Rows) -> None:
    prediction = rows.y_test.clone()
    prediction[3] = math.nan
    found = score("mine", "by hand", prediction, rows)
    assert (found.rmse, found.r2) == (math.inf, -math.inf)


def test_rivals_learn_from_all_rows_but_those_of_the_test(rows: Rows) -> None:
    linear, boosting = rivals(rows, seed=0)
    x, y = np.concatenate([rows.x, rows.x_choose]), np.concatenate([rows.y, rows.y_choose])
    expected = LinearRegression().fit(x, y[:, 0]).predict(rows.x_test)
    assert linear.rmse == pytest.approx(root_mean_squared_error(rows.y_test, expected), rel=1e-9)
    assert linear.rmse > 0.1  # a sine is no line ...
    assert boosting.rmse < 0.5 * linear.rmse  # ... and trees follow it
    assert rivals(rows, seed=0)[1] == boosting
