"""The command: arguments, messages, exit codes, and what it prints."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

import edgewise as ew
from edgewise import cli

AIRFOIL = Path(__file__).parent.parent / "examples" / "airfoil" / "airfoil.csv"


def edgewise(*words: object) -> Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def table(path: Path, rows: int = 120, **columns: object) -> Path:
    """Two inputs and y = a + 2 b, or other columns."""
    a, b = np.random.default_rng(0).uniform(-1, 1, (2, rows))
    values = {"a": a, "b": b, "y": a + 2 * b, **columns}
    lines = [",".join(values)]
    lines += [",".join(map(str, row)) for row in zip(*values.values(), strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("cli")
    source = table(folder / "t.csv")
    words = ("--target", "y", "--widths", "2,1", "--time", 120, "--no-progress")
    result = edgewise("fit", source, *words, "--out", folder / "run")
    assert result.exit_code == 0, result.output
    assert "x_1 + 2*x_2" in result.stdout
    return folder / "run"


# fit


def test_the_command_in_the_report_repeats_the_run(fitted: Path) -> None:
    command = json.loads((fitted / "settings.json").read_text())["command"]
    assert command[0] == "edgewise"
    again = fitted.parent / "again"
    words = [str(again) if word == str(fitted) else word for word in command[1:]]
    assert edgewise(*words, "--no-progress").exit_code == 0
    first, second = (ew.load(folder / "model.safetensors") for folder in (fitted, again))
    for ours, theirs in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("text", "widths"),
    [
        ("5,8,1", (5, 8, 1)),
        ("[5, 8, 1]", (5, 8, 1)),
        ("4,(3,2),1", (4, (3, 2), 1)),
        ("[4, [3, 2], 1]", (4, (3, 2), 1)),
        ("2,[0,1]", (2, (0, 1))),
        ("2,(1,[2,3]),1", (2, (1, [2, 3]), 1)),
        ("[2, (0, (4)), (3, 2)]", (2, (0, [4]), (3, 2))),
        ("3", (3,)),
    ],
)
def test_widths_are_read(text: str, widths: tuple[object, ...]) -> None:
    assert cli._widths(text) == widths


@pytest.mark.parametrize("text", ["", "5,,1", "5;8;1", "5,(3,2", "(1,(2,3)", "a,b", "-1,2", "1.5"])
def test_what_is_no_widths_is_refused(text: str, tmp_path: Path) -> None:
    result = edgewise("fit", table(tmp_path / "t.csv"), "--target", "y", "--widths", text)
    assert result.exit_code == 1
    assert 'as "5,8,1" or "4,(3,2),1"' in result.stderr


@pytest.mark.parametrize(
    ("columns", "words", "said"),
    [
        ({}, ("--target", "z"), "has no column 'z'"),
        ({}, ("--target", "y", "--inputs", "a,c"), "has no column 'c'"),
        ({}, ("--target", "y", "--inputs", "a,y"), "'y' is the target"),
        ({"b": [1.5] * 120}, ("--target", "y"), "Column 'b' of .* is 1.5 in every row"),
        ({"b": ["", *range(119)]}, ("--target", "y"), "Column 'b' of .* has 1 missing value"),
        ({"b": ["red"] * 120}, ("--target", "y"), "Column 'b' of .* holds text, such as 'red'"),
        ({}, ("--target", "y", "--degree", 12), "degree must be a whole number from 1 to 9"),
        ({}, ("--target", "y", "--grid", 0), "grid, the number of intervals"),
        ({}, ("--target", "y", "--time", -1), "time is a budget in seconds"),
        ({}, ("--target", "y", "--widths", "3,1"), "from the 2 inputs"),
    ],
)
def test_what_cannot_be_fitted_is_said_and_nothing_is_written(
    columns: dict[str, object], words: tuple[object, ...], said: str, tmp_path: Path
) -> None:
    source = table(tmp_path / "t.csv", **columns)
    result = edgewise("fit", source, *words, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert re.search(f"edgewise: .*{said}", result.stderr), result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()


def test_too_few_rows(tmp_path: Path) -> None:
    result = edgewise("fit", table(tmp_path / "t.csv", rows=12), "--target", "y")
    assert "has 12 rows. With 2 inputs at least 30 are needed" in result.stderr


def test_a_file_is_no_folder_to_write_to(tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv")
    result = edgewise("fit", source, "--target", "y", "--out", source)
    assert result.exit_code == 1
    assert "--out is the folder to write to, and" in result.stderr
    result = edgewise("fit", source, "--target", "y", "--out", source / "run")
    assert "Nothing can be written to" in result.stderr


def test_without_out_the_folder_is_named_after_the_table(tmp_path: Path) -> None:
    assert cli._folder(None, tmp_path / "wine.red.csv.gz") == Path("runs/wine")


@pytest.mark.parametrize("seconds", [1.0, 8.0])
def test_ctrl_c_keeps_what_there_is(seconds: float, tmp_path: Path) -> None:
    words = ("fit", AIRFOIL, "--target", "sound_pressure_level", "--time", 120, "--out", tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "edgewise", *map(str, words), "--no-progress"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Fitting"):
            break
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert "Written to" in out
    assert "nterrupted" in out + errors or "before the search ended" in out
    assert ew.load(tmp_path / "model.safetensors").in_features == 5
    assert "</html>" in (tmp_path / "report.html").read_text(encoding="utf-8")


# predict


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_predictions_come_as_csv_and_are_right(fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("b,a\n0.5,0.25\n-0.25,0\n")
    result = edgewise("predict", fitted, tmp_path / "new.csv")
    assert result.exit_code == 0
    found = rows_of(result.stdout)
    assert list(found[0]) == ["a", "b", "y_predicted"]
    assert float(found[0]["a"]) == 0.25
    assert float(found[0]["y_predicted"]) == pytest.approx(1.25, abs=1e-6)
    assert float(found[1]["y_predicted"]) == pytest.approx(-0.5, abs=1e-6)
    assert result.stderr == ""


def test_predictions_go_to_a_file_with_the_error_where_the_target_is_known(
    fitted: Path, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("a,b,y\n0,0.5,1.5\n0,0,0\n0.5,0,\n")
    model = fitted / "model.safetensors"
    result = edgewise("predict", model, tmp_path / "new.csv", "--out", tmp_path / "p.csv")
    assert result.stdout == ""
    assert f"RMSE {(0.5**2 / 2) ** 0.5:.4g} over the 2 rows that have y." in result.stderr
    found = rows_of((tmp_path / "p.csv").read_text())
    assert [row["y"] for row in found] == ["1.5", "0.0", ""]


def test_rows_beyond_the_fitted_range_are_counted(fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("a,b\n0,0.5\n30,0\n0,-40\n")
    result = edgewise("predict", fitted, tmp_path / "new.csv")
    assert "2 of 3 rows lie outside the range that was fitted" in result.stderr


def test_a_column_that_a_model_needs_is_named(fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("a,c\n0,0.5\n")
    result = edgewise("predict", fitted, tmp_path / "new.csv")
    assert result.exit_code == 1
    assert "has no column 'b'" in result.stderr


def test_a_model_without_names_of_columns_is_refused(tmp_path: Path) -> None:
    ew.save(ew.KAN([2, 1]), tmp_path / "m.safetensors")
    result = edgewise("predict", tmp_path / "m.safetensors", table(tmp_path / "t.csv"))
    assert result.exit_code == 1
    assert "does not say which columns it takes" in result.stderr


@pytest.mark.parametrize("command", [("predict",), ("show",)])
def test_what_is_no_model_is_refused(command: tuple[str], tmp_path: Path) -> None:
    source = table(tmp_path / "t.csv")
    more = (source,) if command == ("predict",) else ()
    for path in (source, tmp_path / "nothing", tmp_path):
        result = edgewise(*command, path, *more)
        assert result.exit_code == 1
        assert result.stderr.startswith("edgewise: ")


# show


def test_show_tells_what_a_model_is(fitted: Path) -> None:
    result = edgewise("show", fitted)
    assert result.exit_code == 0
    assert "y from a, b" in result.stdout
    for word in ("KAN([2, 1]", "edgewise network", "gradient boosting", "What the edges carry"):
        assert word in result.stdout


def test_names_with_brackets_are_shown_as_they_are(tmp_path: Path) -> None:
    notes = {"inputs": '["t [s]", "[/b]"]', "target": "v [m/s]"}
    notes["scores"] = '[{"name": "[red]", "detail": "", "rmse": 1.0, "r2": null}]'
    ew.save(ew.KAN([2, 1]), tmp_path / "m.safetensors", notes=notes)
    shown = edgewise("show", tmp_path / "m.safetensors").stdout
    assert "v [m/s] from t [s], [/b]" in shown
    assert "RMSE in the unit of v [m/s]" in shown
    assert "[red]" in shown
    assert "no value" in shown


def test_show_of_a_model_from_python_is_its_shape(tmp_path: Path) -> None:
    ew.save(ew.KAN([2, 1]), tmp_path / "m.safetensors")
    assert edgewise("show", tmp_path / "m.safetensors").stdout.startswith("KAN([2, 1]")


# the command itself


def test_help_and_version() -> None:
    assert "Usage" in edgewise("fit", "--help").stdout
    assert edgewise("--version").stdout == f"edgewise {ew.__version__}\n"


def test_without_typer_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgewise.__main__ import main

    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit, match=r'pip install "edgewise\[cli\]"'):
        main()
