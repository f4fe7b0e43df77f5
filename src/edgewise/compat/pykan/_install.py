"""`import kan` gives this package: for scripts that are to run as they are."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from types import ModuleType
from typing import Any

from edgewise._errors import ConfigError

_HERE = "edgewise.compat.pykan"

# Where each module of pykan has its names; a name stands in the first file that holds it.
_MODULES = {
    "MultKAN": ("_network", "_layers", "_lbfgs", "_spline", "_words", "_hypothesis"),
    "KANLayer": ("_layers", "_spline", "_utils"),
    "Symbolic_KANLayer": ("_layers", "_words", "_utils"),
    "LBFGS": ("_lbfgs",),
    "MLP": ("_mlp", "_lbfgs"),
    "compiler": ("_compiler", "_network"),
    "experiment": ("_experiment", "_network", "_layers", "_lbfgs"),
    "feynman": ("_feynman",),
    "hypothesis": ("_hypothesis", "_utils"),
    "spline": ("_spline",),
    "utils": ("_utils", "_words"),
}
_NAMES = {
    "_network": ("KAN", "MultKAN"),
    "_layers": ("KANLayer", "Symbolic_KANLayer"),
    "_lbfgs": ("LBFGS",),
    "_mlp": ("MLP",),
    "_spline": ("B_batch", "coef2curve", "curve2coef", "extend_grid"),
    "_words": (
        *("SYMBOLIC_LIB", "add_symbolic", "f_inv", "f_inv2", "f_inv3", "f_inv4", "f_inv5"),
        *("f_sqrt", "f_power1d5", "f_invsqrt", "f_log", "f_tan", "f_arctanh", "f_arcsin"),
        *("f_arccos", "f_exp"),
    ),
    "_utils": (
        *("create_dataset", "create_dataset_from_data", "fit_params", "sparse_mask", "ex_round"),
        *("augment_input", "batch_jacobian", "batch_hessian", "get_derivative", "model2param"),
    ),
    "_hypothesis": (
        *("detect_separability", "batch_grad_normgrad", "get_dependence", "test_symmetry"),
        *("test_separability", "test_general_separability", "get_molecule", "get_tree_node"),
        *("plot_tree", "test_symmetry_var"),
    ),
    "_compiler": ("expr2kan", "sf2kan", "kanpiler", "next_nontrivial_operation"),
    "_experiment": ("runner1", "pareto_frontier"),
    "_feynman": ("get_feynman_dataset",),
}
# What scripts get from pykan's star imports beside its own names.
_OTHERS = {
    "torch": "torch",
    "nn": "torch.nn",
    "np": "numpy",
    "plt": "matplotlib.pyplot",
    "pd": "pandas",
    "yaml": "yaml",
    "sympy": "sympy",
    "tqdm": "tqdm:tqdm",
    "latex": "sympy.printing:latex",
    "LinearRegression": "sklearn.linear_model:LinearRegression",
    "copy": "copy",
    "glob": "glob",
    "os": "os",
    "random": "random",
    "re": "re",
}
_IN_STAR = ("_network", "_layers", "_lbfgs", "_spline", "_utils", "_words", "_hypothesis")
_WITH_SYMPY = ("", "MultKAN", "compiler", "experiment", "feynman")


class _Stand(ModuleType):
    """A module of pykan's name whose attributes are looked up when they are asked for."""

    def __init__(self, name: str, files: tuple[str, ...]) -> None:
        super().__init__(f"kan.{name}" if name else "kan", _Stand.__doc__)
        owners = {word: file for file in reversed(files) for word in _NAMES[file]}
        self.__dict__.update(_owners=owners, _short=name)
        self.__path__ = []  # so that `import kan.utils` is looked up in sys.modules
        self.__version__ = "0.2.8"
        self.__all__ = [*owners, *self._others()]

    def _others(self) -> list[str]:
        """Names of other packages; those that are not installed are left out."""
        found = []
        for name, place in _OTHERS.items():
            package = place.split(":")[0].split(".")[0]
            if package in sys.modules or importlib.util.find_spec(package):
                found.append(name)
        if self._short in _WITH_SYMPY:
            import sympy

            found += [name for name in sympy.__all__ if name not in (*found, *self._owners)]
        return found

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__[name] = self._look_up(name)
        return value

    def _look_up(self, name: str) -> Any:
        if name in self._owners:
            return getattr(importlib.import_module(f"{_HERE}.{self._owners[name]}"), name)
        if name in _OTHERS:
            place, _, inner = _OTHERS[name].partition(":")
            module = importlib.import_module(place)
            return getattr(module, inner) if inner else module
        if self._short in _WITH_SYMPY and not name.startswith("_"):
            import sympy

            if hasattr(sympy, name):
                return getattr(sympy, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


@cache
def _root() -> _Stand:
    """The stand of `kan` itself, with those of its modules."""
    root = _Stand("", _IN_STAR)
    modules = {name: _Stand(name, files) for name, files in _MODULES.items()}
    root.__dict__["_modules"] = modules
    # kan.KANLayer and kan.LBFGS are the classes, as after pykan's own star import
    root.__dict__.update({n: m for n, m in modules.items() if n not in root._owners})
    root.__all__ += ["hypothesis", "spline", "utils"]
    return root


def install() -> None:
    """Let `import kan` give this package from now on, in this process.

    `kan` and its modules (`kan.utils`, `kan.MLP`, ...) resolve to edgewise; the names that pykan's
    `from kan import *` brings along, `torch`, `np`, `plt` and SymPy's among them, come along here,
    too. Calling it again changes nothing.

    Raises:
        ConfigError: If pykan itself has been imported already.

    Example:
        >>> from edgewise.compat.pykan import install, uninstall
        >>> install()
        >>> from kan.utils import create_dataset
        >>> create_dataset.__module__
        'edgewise.compat.pykan._utils'
        >>> uninstall()
    """
    there = sys.modules.get("kan")
    if isinstance(there, _Stand):
        return
    if there is not None:
        raise ConfigError(
            f"pykan itself has been imported already, from {getattr(there, '__file__', '?')}. Call "
            "edgewise.compat.pykan.install() before the first `import kan`."
        )
    root = _root()
    sys.modules["kan"] = root
    for name in _MODULES:
        sys.modules[f"kan.{name}"] = root._modules[name]


def uninstall() -> None:
    """Take `kan` away again; what has been imported from it stays usable."""
    for name in [n for n in sys.modules if n == "kan" or n.startswith("kan.")]:
        if isinstance(sys.modules[name], _Stand):
            del sys.modules[name]


def borrowed(name: str) -> Any:
    """Give the names of other packages, and the list of all that a star import takes."""
    stand = _root()
    if name == "__all__":
        from edgewise.compat import pykan

        own = [word for word in vars(pykan) if not word.startswith("_")]
        lent = [
            word for word in stand.__all__ if not word.startswith("_")
        ]  # SymPy lists its version
        return list(dict.fromkeys([*own, *lent]))
    if name.startswith("_"):
        raise AttributeError(f"module {_HERE!r} has no attribute {name!r}")
    return getattr(stand, name)
