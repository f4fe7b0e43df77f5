"""Example 8: five peaks learnt one after the other, with rows of one peak only at a time."""

from kan import *

centers = [2 / 5 * (i - 2) for i in range(5)]
x = torch.linspace(-1, 1, steps=500)[:, None]
y = sum(torch.exp(-300 * (x - center) ** 2) for center in centers)

model = KAN(
    width=[1, 1],
    grid=200,
    k=3,
    noise_scale=0.1,
    sp_trainable=False,
    sb_trainable=False,
    base_fun="zero",
    seed=1,
)
for phase in range(5):
    part = slice(100 * phase, 100 * (phase + 1))
    dataset = {
        "train_input": x[part],
        "train_label": y[part],
        "test_input": x[part],
        "test_label": y[part],
    }
    results = model.fit(dataset, opt="LBFGS", steps=100, update_grid=False)
final = float(results["train_loss"][-1])
everywhere = float((model(x) - y).square().mean().sqrt())
