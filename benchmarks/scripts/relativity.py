"""Example 10: the addition of velocities, which is tanh(artanh + artanh)."""

from kan import *


def target(x):
    return (x[:, [0]] + x[:, [1]]) / (1 + x[:, [0]] * x[:, [1]])


dataset = create_dataset(target, n_var=2, ranges=[-0.9, 0.9])
model = KAN(width=[2, 1, 1], grid=10, k=3, seed=1)
model.fit(dataset, opt="LBFGS", steps=20)
model.fix_symbolic(0, 0, 0, "arctanh")
model.fix_symbolic(0, 1, 0, "arctanh")
model.fit(dataset, opt="LBFGS", steps=20, update_grid=False)
model.fix_symbolic(1, 0, 0, "tanh")
results = model.fit(dataset, opt="Adam", lr=1e-3, steps=2000, update_grid=False)
formula = ex_round(model.symbolic_formula()[0][0], 4)
final = float(results["test_loss"][-1])
