"""Example 1: function fitting, finer grid by finer grid."""

from kan import *


def target(x):
    return torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2)


dataset = create_dataset(target, n_var=2)
model, errors = None, []
for grid in [3, 10, 20, 50, 100]:
    if model is None:
        model = KAN(width=[2, 1, 1], grid=grid, k=3, seed=1)
    else:
        model = model.refine(grid)
    results = model.fit(dataset, opt="LBFGS", steps=200)
    errors.append(float(results["test_loss"][-1]))
final = min(errors)  # of the best grid: pykan's last one is worse
