"""Example 3: a formula three layers deep, on 3,000 rows."""

from kan import *


def target(x):
    first = torch.sin(torch.pi * (x[:, [0]] ** 2 + x[:, [1]] ** 2))
    second = torch.sin(torch.pi * (x[:, [2]] ** 2 + x[:, [3]] ** 2))
    return torch.exp((first + second) / 2)


dataset = create_dataset(target, n_var=4, train_num=3000)
model = KAN(width=[4, 2, 1, 1], grid=3, k=3, seed=1)
model.fit(dataset, opt="LBFGS", steps=20, lamb=0.002, lamb_entropy=2.0)
model = model.prune(edge_th=1e-2)
for grid in [3, 5, 10, 20, 50]:
    model = model.refine(grid)
    results = model.fit(dataset, opt="LBFGS", steps=50, stop_grid_update_step=30)
final = float(results["test_loss"][-1])
