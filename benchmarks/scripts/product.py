"""Interpretability 1: a product, found by a node that multiplies."""

from kan import *

torch.set_default_dtype(torch.float64)
dataset = create_dataset(lambda x: x[:, [0]] * x[:, [1]], n_var=2)
model = KAN(width=[2, [5, 2], 1], grid=3, k=3, base_fun="identity", seed=1)
model.fit(dataset, opt="LBFGS", steps=20, lamb=0.01, lamb_coef=1.0)
model = model.prune()
model.fit(dataset, opt="LBFGS", steps=20)
model.auto_symbolic(lib=["x", "x^2", "x^3", "exp", "sin"])
results = model.fit(dataset, opt="LBFGS", steps=20)
formula = ex_round(model.symbolic_formula()[0][0], 4)
final = float(results["test_loss"][-1])
