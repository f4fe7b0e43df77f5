"""Other programs that find formulas, each in an environment and a process of its own.

A runner takes rows, the names of the inputs, seconds and a seed, and gives a SymPy expression in
these names, or None where nothing was found in time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import sympy

from benchmarks import pykan

HOME = Path(__file__).parent.parent / ".bench"
GRACE = 20.0
"""So many seconds longer than asked for may a peer take to start and to end."""


@dataclass(frozen=True)
class Peer:
    """A program and where it runs."""

    name: str
    requirements: tuple[str, ...]

    @property
    def home(self) -> Path:
        """Its environment."""
        return HOME / self.name


OPERON = Peer("pyoperon", ("pyoperon==0.6.2", "scikit-learn==1.7.2", "numpy", "sympy"))
GPLEARN = Peer("gplearn", ("gplearn==0.4.3", "scikit-learn==1.9.1", "numpy"))


@cache
def set_up(peer: Peer) -> Path:
    """Make a peer's environment where it is missing; give its Python."""
    python, complete = peer.home / "bin" / "python", peer.home / "complete"
    if not complete.exists():
        print(f"setting up {peer.home} (once)", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", peer.home], check=True)
        for packages in (("--upgrade", "pip"), peer.requirements):
            subprocess.run([python, "-m", "pip", "install", "-qq", *packages], check=True)
        complete.touch()
    return python


def operon(x: Any, y: Any, names: Sequence[str], seconds: float, seed: int) -> Any:
    """Run Operon, with the settings of its authors for SRBench."""
    return _run(set_up(OPERON), "operon", x, y, names, seconds, seed)


def gplearn(x: Any, y: Any, names: Sequence[str], seconds: float, seed: int) -> Any:
    """Run gplearn, generation by generation until the time is over."""
    return _run(set_up(GPLEARN), "gplearn", x, y, names, seconds, seed)


def pykan_auto(x: Any, y: Any, names: Sequence[str], seconds: float, seed: int) -> Any:
    """Run pykan's tutorial flow with `auto_symbolic`, seed after seed until the time is over."""
    return _run(pykan.set_up(), "pykan", x, y, names, seconds, seed)


RUNNERS = {"Operon": operon, "gplearn": gplearn, "pykan": pykan_auto}


def _run(
    python: Path, method: str, x: Any, y: Any, names: Sequence[str], seconds: float, seed: int
) -> Any:
    """Run a method in its environment; each line that it prints is a better formula."""
    task = {
        "method": method,
        "x": np.asarray(x, dtype=float).tolist(),
        "y": np.asarray(y, dtype=float).reshape(-1).tolist(),
        "seconds": seconds,
        "seed": seed,
    }
    command = [python, "-P", Path(__file__).with_name("_symbolic_run.py").resolve()]
    with tempfile.TemporaryDirectory() as folder:  # pykan writes checkpoints
        path, found = Path(folder, "task.json"), Path(folder, "found.txt")
        path.write_text(json.dumps(task))
        with found.open("w") as out:
            process = subprocess.Popen(
                [*command, path], cwd=folder, stdout=out, env={**os.environ, "TQDM_DISABLE": "1"}
            )
            try:
                process.wait(seconds + GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        # a line that is not whole was being written when the time was over
        lines = [text for text in found.read_text().split("\n")[:-1] if text.startswith("= ")]
    protected = method == "gplearn"
    return _expression(lines[-1].removeprefix("= "), names, protected) if lines else None


def _expression(text: str, names: Sequence[str], protected: bool) -> Any:
    """Read a formula in X0, X1, ...; gplearn takes roots and logarithms of the absolute value."""
    symbols = {f"X{n}": sympy.Symbol(name, real=True) for n, name in enumerate(names)}
    words = {
        "div": lambda a, b: a / b,  # gplearn's are protected near zero
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "neg": lambda a: -a,
        "inv": lambda a: 1 / a,
        "sqrt": lambda a: sympy.sqrt(sympy.Abs(a)),
        "log": lambda a: sympy.log(sympy.Abs(a)),
    }
    try:
        return sympy.sympify(text, locals=symbols | (words if protected else {}))
    except (sympy.SympifyError, TypeError, AttributeError):
        return None
