"""Interpretability 8: the mass in motion, with two auxiliary inputs and a product at the end."""

from kan import *
from sympy import sqrt, symbols

m0, v, c = symbols("m0 v c")
beta = v / c
gamma = 1 / sqrt(1 - beta**2)


def target(x):
    return x[:, [0]] / torch.sqrt(1 - x[:, [1]] ** 2 / x[:, [2]] ** 2)


dataset = create_dataset(target, n_var=3, ranges=[[0, 1], [0, 0.9], [1.1, 2]])
dataset = augment_input([m0, v, c], [beta, gamma], dataset)
model = KAN(width=[5, [0, 1]], grid=3, k=3, base_fun="identity", seed=1)
model.fit(dataset, opt="LBFGS", steps=50, lamb=1e-5, lamb_coef=1.0)
model = model.prune(edge_th=5e-2)
results = model.fit(dataset, opt="LBFGS", steps=100)
final = float(results["test_loss"][-1])
