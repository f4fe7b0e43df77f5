"""Run pykan's tutorial "Example 1: Function Fitting" once; it runs in pykan's own environment."""

import argparse
import contextlib
import gc
import json
import sys
import time

import numpy as np
import torch
from kan import KAN, create_dataset

GRIDS = (3, 10, 20, 50, 100)


def target(x):
    return torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2)


def tutorial_rows(dtype):
    """Draw the rows as the tutorial does; in float64 they are the same, with labels of float64."""
    rows = create_dataset(target, n_var=2)
    torch.set_default_dtype(dtype)
    for part in ("train", "test"):
        rows[f"{part}_input"] = rows[f"{part}_input"].to(dtype)
        rows[f"{part}_label"] = target(rows[f"{part}_input"])
    return rows


def least_errors(rows, seed, steps):
    """For each grid the least test error over its steps, and the seconds until that step."""
    model, spent, found = KAN(width=[2, 1, 1], grid=GRIDS[0], k=3, seed=seed), 0.0, []
    for number, grid in enumerate(GRIDS):
        begin = time.perf_counter()
        if number:
            model = model.refine(grid)

        def seconds(begin=begin, before=spent):
            return np.float64(before + time.perf_counter() - begin)

        results = model.fit(rows, opt="LBFGS", steps=steps, metrics=[seconds])
        spent = float(seconds())
        errors = np.nan_to_num(np.array(results["test_loss"], dtype=float), nan=np.inf)
        least = int(errors.argmin())
        found.append({"grid": grid, "rmse": errors[least], "seconds": results["seconds"][least]})
        print(
            f"seed {seed} pykan {rows['train_input'].dtype}, grid {grid}: RMSE {errors[least]:.2e} "
            f"after {results['seconds'][least]:.2f} s (at the last step: {errors[-1]:.2e} after "
            f"{spent:.2f} s)",
            file=sys.stderr,
            flush=True,
        )
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", choices=["float32", "float64"], required=True)
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    with contextlib.redirect_stdout(None):  # pykan prints, and this is for the results
        rows = tutorial_rows(getattr(torch, settings.dtype))
        gc.collect()  # what the imports left behind is not collected while the clock runs
        found = least_errors(rows, settings.seed, settings.steps)
    inputs = {part: rows[f"{part}_input"].tolist() for part in ("train", "test")}
    json.dump({"points": found, **inputs}, sys.stdout)


if __name__ == "__main__":
    main()
