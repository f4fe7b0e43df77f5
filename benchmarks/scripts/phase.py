"""Example 13: the border between two phases."""

from kan import *


def target(x):
    level = torch.sin(torch.pi * x[:, [0]]) + torch.cos(torch.pi * x[:, [1]])
    return (level + torch.tan(torch.pi / 2 * x[:, [2]]) > 0).to(x.dtype)


dataset = create_dataset(target, n_var=3)
model = KAN(width=[3, 1, 1], grid=3, k=3, seed=1)
model.fix_symbolic(1, 0, 0, "tanh", fit_params_bool=False)
results = model.fit(dataset, opt="LBFGS", steps=50)
final = float(results["test_loss"][-1])
