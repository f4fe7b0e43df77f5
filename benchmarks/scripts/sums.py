"""Interpretability 1, first half: a product through sums of squares."""

from kan import *

dataset = create_dataset(lambda x: x[:, [0]] * x[:, [1]], n_var=2)
model = KAN(width=[2, 5, 1], grid=3, k=3, seed=1)
results = model.fit(dataset, opt="LBFGS", steps=20, lamb=0.001)
final = float(results["test_loss"][-1])
