"""Run an example of DeepXDE once, with the settings of its documentation."""

import argparse
import contextlib
import json
import os
import sys
import time

os.environ["DDE_BACKEND"] = "pytorch"

import deepxde as dde
import numpy as np
import torch


def poisson():
    """Its "Poisson equation in 1D with Dirichlet boundary conditions"."""

    def equation(x, y):
        second = dde.grad.hessian(y, x)
        return -second - np.pi**2 * torch.sin(np.pi * x)

    def exact(x):
        return np.sin(np.pi * x)

    interval = dde.geometry.Interval(-1, 1)
    edge = dde.icbc.DirichletBC(interval, exact, lambda x, on_boundary: on_boundary)
    data = dde.data.PDE(interval, equation, edge, 16, 2, solution=exact, num_test=100)
    model = dde.Model(data, dde.nn.FNN([1] + [50] * 3 + [1], "tanh", "Glorot uniform"))
    model.compile("adam", lr=0.001, metrics=["l2 relative error"])
    x = np.linspace(-1, 1, 1001)[:, None].astype(np.float32)
    return model, 10_000, False, x, exact(x)


def burgers(file):
    """Its "Burgers equation": Adam, then L-BFGS."""

    def equation(x, y):
        slope = dde.grad.jacobian(y, x, i=0, j=0)
        rate = dde.grad.jacobian(y, x, i=0, j=1)
        return rate + y * slope - 0.01 / np.pi * dde.grad.hessian(y, x, i=0, j=0)

    interval, span = dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 0.99)
    both = dde.geometry.GeometryXTime(interval, span)
    edge = dde.icbc.DirichletBC(both, lambda x: 0, lambda _, on_boundary: on_boundary)
    start = dde.icbc.IC(
        both, lambda x: -np.sin(np.pi * x[:, 0:1]), lambda _, on_initial: on_initial
    )
    data = dde.data.TimePDE(
        both, equation, [edge, start], num_domain=2540, num_boundary=80, num_initial=160
    )
    model = dde.Model(data, dde.nn.FNN([2] + [20] * 3 + [1], "tanh", "Glorot normal"))
    model.compile("adam", lr=1e-3)
    reference = np.load(file)
    return model, 15_000, True, reference["x"].astype(np.float32), reference["u"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("example", choices=("poisson", "burgers"))
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--share", type=float, default=1.0, help="of the example's steps")
    parser.add_argument("--reference", help="an npz file with x and u, for Burgers")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with contextlib.redirect_stdout(sys.stderr):
        dde.config.set_random_seed(options.seed)
        made = poisson() if options.example == "poisson" else burgers(options.reference)
        model, steps, polish, x, truth = made
        begin, cpu = time.perf_counter(), time.process_time()
        model.train(iterations=int(options.share * steps), display_every=5000)
        if polish:
            dde.optimizers.set_LBFGS_options(maxiter=int(options.share * 15_000))
            model.compile("L-BFGS")
            model.train()
        seconds, used = time.perf_counter() - begin, time.process_time() - cpu
        error = float(np.linalg.norm(model.predict(x) - truth) / np.linalg.norm(truth))
    print(json.dumps({"error": error, "seconds": seconds, "cpu": used}))


if __name__ == "__main__":
    main()
