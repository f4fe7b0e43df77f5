"""Look for a formula with one other program; it runs in that program's own environment.

Every line that begins with "= " is a formula in X0, X1, ... that is better than those before.
"""

import contextlib
import json
import sys
import time

import numpy as np


def say(formula):
    print(f"= {formula}", file=OUT, flush=True)


def operon(x, y, seconds, seed):
    """Take the settings of Operon's authors for SRBench, and the model of least description."""
    from pyoperon.sklearn import SymbolicRegressor

    search = SymbolicRegressor(
        allowed_symbols="add,sub,mul,div,square,sqrt,exp,log,sin,cos,tanh,asin,constant,variable",
        generations=10**6,
        local_search_probability=1.0,
        lamarckian_probability=1.0,
        max_depth=10,
        max_evaluations=10**9,
        max_length=50,
        max_time=int(seconds),
        model_selection_criterion="minimum_description_length",
        n_threads=1,
        objectives=["r2", "length"],
        optimizer_iterations=5,
        population_size=1000,
        pool_size=1000,
        random_state=seed,
        reinserter="keep-best",
        tournament_size=5,
        uncertainty=[float(max(1e-10, 1e-6 * np.std(y)))],
    )
    search.fit(x, y)
    names = [f"X{n}" for n in range(x.shape[1])]
    say(search.get_model_string(search.model_, 17, names))


def gplearn(x, y, seconds, seed):
    """Go on generation by generation, with the settings of its documentation's example.

    Its functions are more than the four there, with an exponential, which it does not bring.
    """
    from gplearn.functions import make_function
    from gplearn.genetic import SymbolicRegressor

    exp = make_function(function=_bounded_exp, name="exp", arity=1)
    functions = ("add", "sub", "mul", "div", "sqrt", "log", "inv", "sin", "cos", "neg", exp)
    begin, best = time.monotonic(), float("inf")
    search = SymbolicRegressor(
        population_size=5000,
        generations=1,
        p_crossover=0.7,
        p_subtree_mutation=0.1,
        p_hoist_mutation=0.05,
        p_point_mutation=0.1,
        max_samples=0.9,
        function_set=functions,
        const_range=(-5.0, 5.0),
        metric="rmse",
        parsimony_coefficient=0.001 * float(np.std(y)),
        warm_start=True,
        random_state=seed,
        stopping_criteria=0.0,
    )
    while time.monotonic() - begin < seconds:
        search.fit(x, y)
        program = search._program
        if program.raw_fitness_ < best:
            best = program.raw_fitness_
            say(program)
        if best <= 1e-12 * float(np.std(y)):
            return
        search.set_params(generations=search.generations + 1)


def _bounded_exp(u):
    return np.exp(np.minimum(u, 50.0))


def pykan(x, y, seconds, seed):
    """Follow the tutorial: fit, prune, fit, refine, fit, auto_symbolic, fit."""
    import torch
    from kan import KAN

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    begin, best = time.monotonic(), float("inf")
    held = len(x) // 5
    rows = {
        name: torch.tensor(part).reshape(len(part), -1)
        for name, part in (
            ("train_input", x[held:]),
            ("train_label", y[held:]),
            ("test_input", x[:held]),
            ("test_label", y[:held]),
        )
    }
    names = [f"X{n}" for n in range(x.shape[1])]
    library = ["x", "x^2", "x^3", "1/x", "1/x^2", "sqrt", "1/sqrt(x)", "exp", "log", "sin", "tanh"]
    attempt = 0
    while time.monotonic() - begin < seconds:
        width = (5, 2, 1)[attempt % 3]
        try:
            model = KAN([x.shape[1], width, 1], grid=3, k=3, seed=seed + attempt)
            model.fit(rows, opt="LBFGS", steps=50, lamb=1e-3)
            model = model.prune()
            model.fit(rows, opt="LBFGS", steps=50)
            model = model.refine(10)
            model.fit(rows, opt="LBFGS", steps=50)
            model.auto_symbolic(lib=library)
            errors = model.fit(rows, opt="LBFGS", steps=50)["test_loss"]
            formula = model.symbolic_formula(var=names)[0][0]
        except Exception as error:  # whatever pykan dies of, the next seed may do
            print(f"pykan: {error!r}", file=sys.stderr, flush=True)
        else:
            if np.isfinite(errors[-1]) and errors[-1] < best:
                best = float(errors[-1])
                say(formula)
        attempt += 1


def main():
    with open(sys.argv[1]) as file:
        task = json.load(file)
    run = {"operon": operon, "gplearn": gplearn, "pykan": pykan}[task["method"]]
    with contextlib.redirect_stdout(None):
        run(np.array(task["x"]), np.array(task["y"]), task["seconds"], task["seed"])


OUT = sys.stdout

if __name__ == "__main__":
    main()
