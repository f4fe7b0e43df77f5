"""Interpretability 10: the parabola by Adam, the network whose Hessian is looked at."""

from kan import *

dataset = create_dataset(lambda x: x[:, [0]] ** 2, n_var=1)
model = KAN(width=[1, 5, 1], grid=3, k=3, seed=1)
results = model.fit(dataset, opt="Adam", lr=1e-2, steps=1000, update_grid=False)
final = float(results["test_loss"][-1])
