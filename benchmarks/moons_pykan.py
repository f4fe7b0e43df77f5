"""Two moons as a regression, as in pykan's tutorial: pykan 0.2.8 and edgewise on the same rows."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import make_moons

import edgewise as ew
from benchmarks import _page, pykan

DRAWS = 50
ROWS = 1000
RUNNER = Path(__file__).with_name("_pykan_moons_run.py").resolve()


def draws() -> dict[str, np.ndarray]:
    """Rows to fit and rows to test of each draw, (draws, rows, columns)."""
    tables: dict[str, list[np.ndarray]] = {}
    for draw in range(DRAWS):
        for part, seed in (("train", 2 * draw), ("test", 2 * draw + 1)):
            x, y = make_moons(ROWS, noise=0.1, random_state=seed)
            tables.setdefault(f"{part}_input", []).append(x)
            tables.setdefault(f"{part}_label", []).append(y[:, None].astype(float))
    return {name: np.stack(parts) for name, parts in tables.items()}


def theirs(tables: dict[str, np.ndarray]) -> np.ndarray:
    """Their accuracies, (draws, 2): on the rows given, on new ones."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "moons.npz"
        np.savez(path, **tables)
        done = subprocess.run(
            [pykan.set_up(), "-P", RUNNER, path],
            cwd=folder,
            env={**os.environ, "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            check=True,
        )
    return np.array(json.loads(done.stdout))


def ours(tables: dict[str, np.ndarray], widths: list[int]) -> np.ndarray:
    """Our accuracies, (draws, 2)."""
    found = []
    for draw in range(DRAWS):
        rows = {name: torch.as_tensor(table[draw]) for name, table in tables.items()}
        result = ew.fit(
            ew.KAN(widths), rows["train_input"], rows["train_label"], seed=draw, progress=False
        )
        with torch.no_grad():
            found.append(
                [
                    float(
                        (result.model(rows[f"{p}_input"]).round() == rows[f"{p}_label"])
                        .double()
                        .mean()
                    )
                    for p in ("train", "test")
                ]
            )
    return np.array(found)


def main() -> None:
    torch.set_num_threads(1)
    tables = draws()
    peers = {
        "pykan 0.2.8, [2, 1]": theirs(tables),
        "edgewise, [2, 1]": ours(tables, [2, 1]),
        "edgewise, [2, 2, 1]": ours(tables, [2, 2, 1]),
    }
    rows = []
    for name, found in peers.items():
        given, new = 100 * found.T
        rows.append(
            [
                name,
                f"{given.mean():.2f}",
                f"{new.mean():.2f} ± {new.std():.2f}",
                f"{new.min():.1f}",
                f"{np.median(new):.1f}",
                f"{new.max():.1f}",
                f"{int((new == 100).sum())} of {DRAWS}",
            ]
        )
        print(" | ".join(rows[-1]), flush=True)
    first, second = (peers[name][:, 1] for name in list(peers)[:2])
    text = (
        f"{ROWS:,} rows of scikit-learn's two moons with noise 0.1 to fit and {ROWS:,} new ones, "
        f"as in pykan's tutorial, drawn {DRAWS} times; accuracy in %. pykan is run as there: "
        "grid 3, 20 steps of L-BFGS, float32. Of the same rows edgewise's [2, 1] gets more right "
        "than pykan's in "
        f"{int((second > first).sum())} draws, fewer in {int((second < first).sum())}, as many in "
        f"{int((second == first).sum())}."
    )
    header = ["network", "rows given", "new rows", "least", "median", "most", "all right"]
    _page.write("moons_pykan", "Two moons as a regression, beside pykan", text, header, rows)


if __name__ == "__main__":
    main()
