"""Example 5: a Bessel function inside an exponential."""

from kan import *


def target(x):
    return torch.exp(torch.special.bessel_j0(20 * x[:, [0]]) + x[:, [1]] ** 2)


dataset = create_dataset(target, n_var=2)
model = KAN(width=[2, 1, 1], grid=3, k=3, seed=2)
model.fit(dataset, opt="LBFGS", steps=20)
model = model.refine(20)
results = model.fit(dataset, opt="LBFGS", steps=20)
final = float(results["test_loss"][-1])
