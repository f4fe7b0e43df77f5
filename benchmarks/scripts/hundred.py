"""Interpretability 4, second half: five of a hundred inputs matter."""

from kan import *

weights = 0.5 ** torch.arange(100)
dataset = create_dataset(lambda x: (weights * x**2).sum(1, keepdim=True), n_var=100)
model = KAN(width=[100, 10, 10, 1], grid=3, k=3, seed=2)
results = model.fit(dataset, opt="LBFGS", steps=50, lamb=0.001)
scores = model.feature_score
final = float(results["test_loss"][-1])
