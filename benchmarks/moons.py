"""Two moons: a KAN with cross-entropy against a tuned support-vector machine, from ten seeds."""

from __future__ import annotations

import time

import numpy as np
import torch
from sklearn.datasets import make_moons
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

import edgewise as ew
from benchmarks import _page

SEEDS = range(10)
SHAPES = ([2, 2, 2], [2, 2, 2, 2])
GRID = {"C": [0.1, 1, 10, 100, 1000], "gamma": [0.1, 0.3, 1, 2, 5]}


def main() -> None:
    rows, gaps = [], {str(shape): [] for shape in SHAPES}
    for seed in SEEDS:
        x, y = make_moons(1000, noise=0.1, random_state=seed)
        x_test, y_test = make_moons(10_000, noise=0.1, random_state=1000 + seed)
        peer = GridSearchCV(SVC(), GRID).fit(x, y).score(x_test, y_test)
        row = [str(seed), f"{100 * peer:.2f}"]
        for shape in SHAPES:
            torch.manual_seed(seed)
            begin = time.perf_counter()
            result = ew.fit(ew.KAN(shape), x, y, loss="cross-entropy", seed=seed, progress=False)
            seconds = time.perf_counter() - begin
            with torch.no_grad():
                found = result.model(torch.as_tensor(x_test)).argmax(-1).numpy()
            accuracy = float(np.mean(found == y_test))
            gaps[str(shape)].append(accuracy - peer)
            row += [f"{100 * accuracy:.2f}", f"{seconds:.1f}"]
        rows.append(row)
        print(" | ".join(row), flush=True)
    worst = ", ".join(f"{shape}: {100 * min(gap):+.2f} points" for shape, gap in gaps.items())
    _page.write(
        "moons",
        "Two moons",
        "1,000 rows of scikit-learn's two moons with noise 0.1; accuracy in % on 10,000 new rows. "
        "The support-vector machine has an RBF kernel and is tuned by scikit-learn's grid search "
        f"with five folds. The worst difference to it: {worst}.",
        ["seed", "SVM", *(f"KAN({s}){u}" for s in SHAPES for u in ("", ", seconds"))],
        rows,
    )


if __name__ == "__main__":
    main()
