"""hellokan: fit with a penalty, prune, refine, turn into symbols, fit the constants."""

from kan import *

torch.set_default_dtype(torch.float64)


def target(x):
    return torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2)


dataset = create_dataset(target, n_var=2)
model = KAN(width=[2, 5, 1], grid=3, k=3, seed=42)
model(dataset["train_input"])
model.fit(dataset, opt="LBFGS", steps=50, lamb=0.001)
model = model.prune()
model.fit(dataset, opt="LBFGS", steps=50)
model = model.refine(10)
model.fit(dataset, opt="LBFGS", steps=50)
words = ["x", "x^2", "x^3", "x^4", "exp", "log", "sqrt", "tanh", "sin", "abs"]
model.auto_symbolic(lib=words)
results = model.fit(dataset, opt="LBFGS", steps=50)
formula = ex_round(model.symbolic_formula()[0][0], 4)
final = float(results["test_loss"][-1])
