"""Example 9, second half: a square root with its singularity at the origin."""

from kan import *


def target(x):
    return torch.sqrt(x[:, [0]] ** 2 + x[:, [1]] ** 2)


dataset = create_dataset(target, n_var=2)
model = KAN(width=[2, 1, 1], grid=5, k=3, seed=0)
model.fit(dataset, opt="LBFGS", steps=20)
model.fix_symbolic(0, 0, 0, "x^2")
model.fix_symbolic(0, 1, 0, "x^2")
model.fix_symbolic(1, 0, 0, "sqrt")
results = model.fit(
    dataset, opt="Adam", lr=1e-3, steps=1000, update_grid=False, singularity_avoiding=True
)
final = float(results["test_loss"][-1])
