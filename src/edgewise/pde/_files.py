"""Solutions in files: the networks; the equation stays in the user's script."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgewise._errors import ConfigError, FormatError
from edgewise._fit import Outcome, Status
from edgewise._io import load as load_model
from edgewise._io import read_notes
from edgewise._io import save as save_model
from edgewise._network import KAN
from edgewise.pde._problem import Problem
from edgewise.pde._solution import Solution
from edgewise.pde._trial import Trial


def save(solution: Solution, folder: str | os.PathLike[str]) -> None:
    """Write a solution to a folder: a safetensors file for each window of time.

    An equation is a function, and no code is written: `load` takes the problem again.

    Args:
        solution: What `solve` gave.
        folder: Where; it is made if it is not there.

    Example:
        >>> pde = ew.pde
        >>> line = pde.Problem(pde.Interval(0, 1), lambda u, x: pde.dx(u, 2) + 1, [pde.Dirichlet()])
        >>> solution = pde.solve(line, seed=0, progress=False)
        >>> pde.save(solution, tmp_path / "line")
        >>> again = pde.load(tmp_path / "line", line)
        >>> x = line.points(10)
        >>> torch.equal(again(x), solution(x))
        True
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    notes = {
        "residual": solution.residual,
        "constants": dict(solution.constants),
        "outcome": solution.status.outcome.value,
        "message": solution.status.message,
        "seconds": solution.seconds,
    }
    for number, trial in enumerate(solution.trials):
        _write(path / f"window-{number:04d}.safetensors", trial, notes)
    for stale in path.glob("window-*.safetensors"):
        if int(stale.stem.removeprefix("window-").removesuffix("-start")) >= len(solution.trials):
            stale.unlink()


def load(folder: str | os.PathLike[str], problem: Problem) -> Solution:
    """Read a solution that `save` wrote.

    Args:
        folder: Where it is.
        problem: The problem that was solved: its conditions are part of the solution.

    Returns:
        The solution, without its history.

    Raises:
        FormatError: If the folder holds no solution of a problem of this kind.
    """
    path = Path(folder)
    files = [f for f in sorted(path.glob("window-*.safetensors")) if "-start" not in f.name]
    if not files:
        raise FormatError(f"{path} holds no solution. Give the folder that pde.save wrote.")
    trials: list[Trial] = []
    notes: dict[str, Any] = {}
    for file in files:
        trial, notes = _read(file, problem, trials[-1] if trials else None)
        trials.append(trial)
    return Solution(
        problem=problem,
        trials=tuple(trials),
        status=Status(Outcome(notes["outcome"]), notes["message"]),
        residual=notes["residual"],
        constants=notes["constants"],
        history=(),
        seconds=notes["seconds"],
    )


def _write(file: Path, trial: Trial, notes: dict[str, Any]) -> None:
    notes = {**notes, "window": trial.window, "start": trial.start is not None}
    if trial.start is not None:
        save_model(trial.start, file.with_name(f"{file.stem}-start.safetensors"))
    save_model(trial.model, file, notes={"pde": json.dumps(notes)})


def _read(file: Path, problem: Problem, before: Trial | None) -> tuple[Trial, dict[str, Any]]:
    try:
        notes = json.loads(read_notes(file)["pde"])
    except KeyError:
        raise FormatError(f"{file} is a network, but no part of a solution.") from None
    model = load_model(file)
    if (model.in_features, model.out_features) != (problem.inputs, problem.outputs):
        raise FormatError(
            f"{file} solves a problem of {model.in_features} inputs and {model.out_features} "
            f"fields, this problem has {problem.inputs} and {problem.outputs}."
        )
    window = tuple(notes["window"]) if notes["window"] is not None else None
    start = None
    if notes["start"]:
        start = load_model(file.with_name(f"{file.stem}-start.safetensors"))
    return Trial(problem, model, window, before, start), notes


class Journal:
    """A folder with the best result of each window so far, from which `solve` goes on.

    Args:
        folder: Where.
        problem: The problem.
        model: The network to begin with.
        spans: The windows of time.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        problem: Problem,
        model: KAN,
        spans: Sequence[tuple[float, float] | None],
    ) -> None:
        self.folder = Path(folder)
        label = json.dumps(
            {
                "inputs": problem.inputs,
                "outputs": problem.outputs,
                "bounds": problem.bounds.tolist(),
                "widths": model.widths,
                "grid": model.grid,
                "windows": [list(span) if span else None for span in spans],
            }
        )
        file = self.folder / "solve.json"
        if file.exists() and file.read_text() != label:
            raise ConfigError(
                f"The checkpoint {self.folder} belongs to another problem, network or other "
                "windows. Give another path, or delete the folder to begin anew."
            )
        if not file.exists():
            if self.folder.exists() and any(self.folder.iterdir()):
                raise ConfigError(f"{self.folder} is not empty and holds no checkpoint.")
            self.folder.mkdir(parents=True, exist_ok=True)
            file.write_text(label)

    def read(self, number: int, trial: Trial) -> tuple[Trial, float, int, dict[str, float]] | None:
        """Give the best of a window, its residual, the rounds that are done, and constants."""
        file = self._file(number)
        if not file.exists():
            return None
        found, notes = _read(file, trial.problem, trial.before)
        found = replace(found, window=trial.window)
        return found, notes["residual"], notes["rounds"], notes["constants"]

    def write(
        self, number: int, trial: Trial, fresh: float, rounds: int, constants: dict[str, float]
    ) -> None:
        """Keep the best of a window."""
        notes = {"residual": fresh, "rounds": rounds, "constants": constants}
        _write(self._file(number), trial, notes)

    def _file(self, number: int) -> Path:
        return self.folder / f"window-{number:04d}.safetensors"
