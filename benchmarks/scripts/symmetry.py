"""Interpretability 6: a nested sum of squares, the network that its tree is read from."""

from kan import *


def target(x):
    first = x[:, [0]] ** 2 + x[:, [1]] ** 2
    return (first**2 + (x[:, [2]] ** 2 + x[:, [3]] ** 2) ** 2) ** 0.5


dataset = create_dataset(target, n_var=4)
model = KAN(width=[4, 5, 5, 1], grid=5, k=3, seed=0)
results = model.fit(dataset, opt="LBFGS", steps=100)
final = float(results["test_loss"][-1])
