"""Example 11: one sine through three edges, without and with a wish for straight ones."""

from kan import *

dataset = create_dataset(lambda x: torch.sin(torch.pi * x[:, [0]]), n_var=1)
model = KAN(width=[1, 1, 1, 1], grid=5, k=3, seed=0, noise_scale=0.1)
results = model.fit(dataset, opt="LBFGS", steps=20)
straight = KAN(width=[1, 1, 1, 1], grid=5, k=3, seed=0, base_fun="identity", noise_scale=0.1)
straight.fit(dataset, opt="LBFGS", steps=20, lamb=1e-4, lamb_coef=10.0)
final = float(results["test_loss"][-1])
