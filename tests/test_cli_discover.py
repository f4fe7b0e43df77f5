"""The command `edgewise discover`, with a search that knows what it will find."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edgewise import _symbolic, cli
from fronts import StubFront, stub_discover

TEXTS = ["x_1", "x_1 + x_2", "x_1*exp(x_2/3)"]


def edgewise(*words: object) -> Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Any:
    found = stub_discover(TEXTS)
    monkeypatch.setattr(_symbolic, "discover", found)
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """mass, "a b" and force = mass exp(a b / 3)."""
    m, a = np.random.default_rng(0).uniform(0.5, 2, (2, 100))
    rows = np.stack([m, a, m * np.exp(a / 3)], 1)
    path = tmp_path / "forces.csv"
    np.savetxt(path, rows, delimiter=",", header="mass,a b,force", comments="", fmt="%.17g")
    return path


def test_the_folder_holds_the_front(search: Any, source: Path, tmp_path: Path) -> None:
    units = "mass=kg, a b=m/s^2, force=N"
    words = (
        "--target",
        "force",
        "--units",
        units,
        "--seed",
        3,
        "--time",
        5,
        "--out",
        tmp_path / "o",
    )
    result = edgewise("discover", source, *words)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "o"
    assert search.settings == {"time": 5.0, "seed": 3, "units": ["kg", "m/s^2", "N"]}
    assert "force = mass*exp(a b/3)" in result.stdout
    assert "Its RMSE on 20 rows kept back is" in result.stdout

    with (folder / "front.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["formula"] for row in rows] == ["mass", "a b + mass", "mass*exp(a b/3)"]
    assert float(rows[-1]["test_rmse"]) < 1e-14
    facts = json.loads((folder / "front.json").read_text())
    assert [entry["chosen"] for entry in facts["front"]] == [False, False, True]
    assert facts["front"][1]["test_rmse"] == pytest.approx(float(rows[1]["test_rmse"]))
    assert facts["rows"] == {"searched": 80, "test": 20}
    assert facts["command"][:4] == ["edgewise", "discover", str(source), "--target"]

    tex = (folder / "formulas.tex").read_text()
    assert tex.count(r"\[ \mathrm{force} = ") == 3
    assert (folder / "front.png").read_bytes().startswith(b"\x89PNG")
    names: dict[str, Any] = {}
    exec(compile((folder / "formulas.py").read_text(), "formulas.py", "exec"), names)
    assert names["formula_3"](2.0, 1.5) == pytest.approx(2 * math.exp(0.5), rel=1e-15)
    assert names["formula_2"](2.0, 1.5) == 3.5
    if compiler := shutil.which("gcc"):
        flags = ["-std=c99", "-Wall", "-Werror", "-c"]
        command = [compiler, *flags, "formulas.c", "-o", "formulas.o"]
        subprocess.run(command, cwd=folder, check=True)


def test_the_command_in_the_file_repeats_the_search(
    search: Any, source: Path, tmp_path: Path
) -> None:
    words = ("--target", "force", "--inputs", "a b,mass", "--no-progress", "--out", tmp_path / "o")
    assert edgewise("discover", source, *words).exit_code == 0
    before = (tmp_path / "o" / "front.csv").read_text()
    command = json.loads((tmp_path / "o" / "front.json").read_text())["command"]
    assert edgewise(*command[1:]).exit_code == 0
    assert (tmp_path / "o" / "front.csv").read_text() == before


def test_where_there_is_no_terminal_each_formula_is_a_line(
    search: Any, source: Path, tmp_path: Path
) -> None:
    result = edgewise("discover", source, "--target", "force", "--out", tmp_path / "o")
    lines = [line for line in result.stderr.splitlines() if "parts, RMSE" in line]
    assert [line.rpartition(": ")[2] for line in lines] == ["mass", "a b + mass", "mass*exp(a b/3)"]
    words = ("--target", "force", "--no-progress", "--out", tmp_path / "o")
    assert edgewise("discover", source, *words).stderr == ""


def test_in_a_terminal_there_is_a_live_table(
    search: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    result = edgewise("discover", source, "--target", "force", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    assert len(re.findall(r"Formulas after \d+ s", result.stderr)) >= 1
    assert "mass*exp(a b/3)" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--units", "mass"), "takes the unit of every column"),
        (("--units", "mass=kg"), "a b, force has none"),
        (("--units", "mass=kg,c=m"), "names 'c', and the columns are mass, a b, force"),
        (("--time", 0), "must be positive, got 0"),
        (("--inputs", "mass,c"), "no column 'c'"),
    ],
)
def test_what_is_refused(
    words: tuple[object, ...], message: str, search: Any, source: Path, tmp_path: Path
) -> None:
    words = ("--target", "force", *words, "--out", tmp_path / "o")
    result = edgewise("discover", source, *words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "o").exists()


def test_where_nothing_is_found(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_symbolic, "discover", lambda *_, **__: StubFront())
    result = edgewise("discover", source, "--target", "force", "--out", tmp_path / "o")
    assert result.exit_code == 1
    assert "No formula was found in 60 s" in result.stderr


def test_an_interrupt_before_there_is_a_formula(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> StubFront:
        raise KeyboardInterrupt

    monkeypatch.setattr(_symbolic, "discover", interrupted)
    result = edgewise("discover", source, "--target", "force", "--out", tmp_path / "o")
    assert result.exit_code == 130
    assert "interrupted before there was anything to keep" in result.stderr
