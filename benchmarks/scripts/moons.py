"""Example 4: two classes as a regression, and their formula."""

import numpy as np
from kan import *
from sklearn.datasets import make_moons

dataset = {}
for part, seed in (("train", 0), ("test", 1)):
    rows, labels = make_moons(n_samples=1000, shuffle=True, noise=0.1, random_state=seed)
    dataset[f"{part}_input"] = torch.from_numpy(rows.astype(np.float32))
    dataset[f"{part}_label"] = torch.from_numpy(labels.astype(np.float32))[:, None]

model = KAN(width=[2, 1], grid=3, k=3, seed=1)
results = model.fit(dataset, opt="LBFGS", steps=20)
model.auto_symbolic(
    lib=["x", "x^2", "x^3", "x^4", "exp", "log", "sqrt", "tanh", "sin", "tan", "abs"]
)
formula = model.symbolic_formula()[0][0]
final = float(results["test_loss"][-1])
