"""Write the folder of a run."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgewise._io import save
from edgewise._report import _pictures
from edgewise._report._page import page
from edgewise._report._run import CHOOSE_SHARE, TEST_SHARE, Run


def write(run: Run, folder: Path, command: Sequence[str]) -> list[Path]:
    """Write the model, its pictures, its formula, the report and the settings.

    Args:
        run: What to write.
        folder: Where; it is made if need be, and files of an earlier run are replaced.
        command: The command line that repeats it.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save(run.model, folder / "model.safetensors", notes=_notes(run))  # first what took the time
    pictures = {
        "network": _pictures.network(run),
        "history": _pictures.history(run),
        "scatter": _pictures.scatter(run),
    }
    (folder / "network.png").write_bytes(pictures["network"])
    (folder / "history.png").write_bytes(pictures["history"])
    (folder / "formula.tex").write_text(_tex(run), encoding="utf-8")
    (folder / "settings.json").write_text(
        json.dumps(_settings(run, command), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / "report.html").write_text(page(run, pictures, command), encoding="utf-8")
    names = (
        "report.html",
        "model.safetensors",
        "network.png",
        "history.png",
        "formula.tex",
        "settings.json",
    )
    return [folder / name for name in names]


def _notes(run: Run) -> dict[str, str]:
    """What the model file tells `predict` and `show` beside the model."""
    notes = {
        "inputs": json.dumps(run.inputs, ensure_ascii=False),
        "target": run.settings.target,
        "verdict": run.verdict,
        "scores": json.dumps([_plain(asdict(score)) for score in run.scores]),
        "edges": json.dumps(run.edge_scores),
    }
    if run.formula is not None:
        notes["formula"] = str(run.formula)
    return notes


def _tex(run: Run) -> str:
    comments = [f"% {line}" for line in run.verdict.splitlines()]
    if run.formula is None:
        return "\n".join(comments) + "\n"
    return "\n".join([*comments, run.formula.latex()]) + "\n"


def _settings(run: Run, command: Sequence[str]) -> dict[str, Any]:
    """Everything that it takes to repeat a run, and what came out."""
    rows = run.rows
    return {
        "command": list(command),
        "table": {"path": str(run.table), "sha256": run.sha256},
        "target": run.settings.target,
        "inputs": list(run.inputs),
        "network": {
            "widths": run.settings.widths,
            "grid": run.settings.grid,
            "degree": run.settings.degree,
        },
        "seed": run.settings.seed,
        "time": run.settings.time,
        "split": {
            "test_share": TEST_SHARE,
            "choose_share_of_rest": CHOOSE_SHARE,
            "rows": {
                "fitted": len(rows.x),
                "choose": len(rows.x_choose),
                "test": len(rows.x_test),
            },
        },
        "versions": run.versions,
        "results": {
            "status": str(run.fitted.status),
            "solver": run.fitted.solver,
            "widths": run.model.widths,
            "grid": run.model.grid,
            "edges": len(run.model.edges()),
            "pruning": run.pruning,
            "verdict": run.verdict,
            "formula": None if run.formula is None else [str(e) for e in run.formula.exprs],
            "test": [_plain(asdict(score)) for score in run.scores],
            "seconds": {name: round(value, 2) for name, value in run.seconds.items()},
        },
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no infinity."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
