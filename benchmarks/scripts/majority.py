"""Interpretability 10A: the majority of three majorities of three bits."""

import itertools

import numpy as np
from kan import *

bits = torch.tensor(list(itertools.product([0.0, 1.0], repeat=9)))
inner = (bits.reshape(-1, 3, 3).sum(2) > 1.5).to(bits.dtype)
labels = (inner.sum(1, keepdim=True) > 1.5).to(bits.dtype)
np.random.seed(0)
dataset = create_dataset_from_data(bits, labels)
model = KAN(width=[9, 10, 10, 1], grid=5, k=3, seed=5, noise_scale=1.0)
results = model.fit(dataset, opt="LBFGS", steps=20, lamb=1e-3, lamb_entropy=5.0)
final = float(results["train_loss"][-1])
