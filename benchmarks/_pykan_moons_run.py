"""Run pykan's tutorial "Example 4", moons as a regression; it runs in pykan's own environment."""

import argparse
import contextlib
import json
import sys

import numpy as np
import torch
from kan import KAN


def accuracies(rows, seed):
    """The share of rows that a network of one layer rounds to the right class: given, new."""
    parts = {name: torch.as_tensor(table, dtype=torch.float32) for name, table in rows.items()}
    model = KAN(width=[2, 1], grid=3, k=3, seed=seed, auto_save=False)
    model.fit(parts, opt="LBFGS", steps=20)
    with torch.no_grad():
        return [
            float((model(parts[f"{p}_input"]).round() == parts[f"{p}_label"]).double().mean())
            for p in ("train", "test")
        ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", help="an .npz file with tables of several draws")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(None):  # pykan prints, and this is for the results
        with np.load(settings.rows) as kept:
            tables = dict(kept)
        found = [
            accuracies({name: table[draw] for name, table in tables.items()}, seed=draw)
            for draw in range(len(tables["train_input"]))
        ]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
