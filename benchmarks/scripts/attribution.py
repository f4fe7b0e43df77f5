"""Interpretability 4: which inputs matter, with one that does not."""

from kan import *


def target(x):
    return x[:, [0]] ** 2 + 0.3 * x[:, [1]] + 0.1 * x[:, [2]] ** 3 + 0.0 * x[:, [3]]


dataset = create_dataset(target, n_var=4)
model = KAN(width=[4, 5, 1], grid=5, k=3, seed=0)
results = model.fit(dataset, opt="LBFGS", steps=40, lamb=0.001)
scores = model.feature_score
final = float(results["test_loss"][-1])
