"""Example 12: relations among six variables from real rows and shuffled ones."""

from kan import *

torch.manual_seed(1)
rows = torch.zeros(500, 6)
rows[:, [0, 1, 3, 5]] = 2 * torch.rand(500, 4) - 1
rows[:, 2] = torch.exp(torch.sin(torch.pi * rows[:, 0]) + rows[:, 1] ** 2)
rows[:, 4] = rows[:, 3] ** 3
rows = (rows - rows.mean(0)) / rows.std(0)
shuffled = torch.stack([rows[torch.randperm(500), i] for i in range(6)], dim=1)
inputs = torch.cat([rows, shuffled])
labels = torch.cat([torch.ones(500, 1), torch.zeros(500, 1)])
dataset = {
    "train_input": inputs,
    "train_label": labels,
    "test_input": inputs,
    "test_label": labels,
}
model = KAN(width=[6, 1, 1], grid=3, k=3, seed=1)
model.fix_symbolic(1, 0, 0, "gaussian", fit_params_bool=False)
results = model.fit(dataset, opt="LBFGS", steps=50, lamb=0.002, lamb_entropy=10.0, lamb_coef=1.0)
final = float(results["test_loss"][-1])
