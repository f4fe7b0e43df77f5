"""Interpretability 10B: five sums of pairs of ten inputs."""

from kan import *


def target(x):
    return torch.stack([x[:, 2 * i] + x[:, 2 * i + 1] for i in range(5)], dim=1)


dataset = create_dataset(target, n_var=10)
model = KAN(width=[10, 10, 5], grid=5, k=3, seed=1)
results = model.fit(dataset, opt="LBFGS", steps=50, lamb=1e-2)
final = float(results["test_loss"][-1])
