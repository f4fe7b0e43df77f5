"""Example 9: logarithms, fixed by hand."""

from kan import *


def target(x):
    return torch.sin(2 * (torch.log(x[:, [0]]) + torch.log(x[:, [1]])))


dataset = create_dataset(target, n_var=2, ranges=[0.2, 5])
model = KAN(width=[2, 1, 1], grid=5, k=3, seed=2)
model.fit(dataset, opt="LBFGS", steps=20)
model.fix_symbolic(0, 0, 0, "log")
model.fix_symbolic(0, 1, 0, "log")
model.fix_symbolic(1, 0, 0, "sin")
results = model.fit(dataset, opt="LBFGS", steps=20)
formula = ex_round(model.symbolic_formula()[0][0], 4)
final = float(results["test_loss"][-1])
