"""A newcomer's path: a table with awkward names goes in, its law comes out, and new rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np


def edgewise(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "edgewise", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_law_of_a_table_is_found_shown_and_used(tmp_path: Path) -> None:
    x = np.random.default_rng(3).uniform(-1, 1, (500, 2))
    y = np.exp(np.sin(np.pi * x[:, 0]) + x[:, 1] ** 2)
    header = "angle [rad],speed & time,y_1 (kg)"
    table = np.column_stack([x, y])
    np.savetxt(tmp_path / "lab.csv", table, "%.17g", delimiter=",", header=header, comments="")

    told = edgewise(tmp_path, "fit", "lab.csv", "--target", "y_1 (kg)", "--no-progress")
    assert "exp(x_2**2 + sin(pi*x_1))" in told
    assert "where x_1 = angle [rad], x_2 = speed & time" in told
    folder = tmp_path / "runs" / "lab"
    assert r"\sin" in (folder / "formula.tex").read_text()
    assert "angle [rad]" in (folder / "report.html").read_text(encoding="utf-8")
    assert "exp(x_2**2 + sin(pi*x_1))" in edgewise(tmp_path, "show", "runs/lab")

    new = ["angle [rad],speed & time", "0.5,0", "0,0.5"]
    (tmp_path / "new.csv").write_text("\n".join(new))
    lines = edgewise(tmp_path, "predict", "runs/lab", "new.csv").splitlines()
    assert lines[0].endswith("y_1 (kg)_predicted")
    predicted = [float(line.split(",")[-1]) for line in lines[1:]]
    np.testing.assert_allclose(predicted, [np.e, np.exp(0.25)], rtol=1e-6)
