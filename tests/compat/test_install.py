"""`import kan` in processes of their own: what is imported stays imported."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from edgewise.compat.pykan import pareto_frontier

SRC = Path(__file__).parents[2] / "src"
BEGIN = f"""
import sys
sys.meta_path = [f for f in sys.meta_path if "skbc" not in type(f).__module__]
sys.path.insert(0, {str(SRC)!r})
"""


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + code], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not [*folder.iterdir()]  # nothing is written to disk
    return done.stdout


def test_scripts_run_as_they_are(tmp_path: Path) -> None:
    code = """
from edgewise.compat.pykan import install, uninstall
install()
install()
from kan import *
from kan.utils import create_dataset, ex_round, SYMBOLIC_LIB, add_symbolic
from kan.feynman import get_feynman_dataset
from kan.compiler import kanpiler, sf2kan
from kan.hypothesis import *
from kan.spline import B_batch, coef2curve
from kan.MLP import MLP
from kan.LBFGS import LBFGS
from kan.experiment import runner1
import kan, kan.utils, kan.MLP
assert torch.__name__ == "torch" and np.__name__ == "numpy" and nn.__name__ == "torch.nn"
assert sympy.__name__ == "sympy" and symbols("a") and sqrt(4) == 2 and os and copy and random
assert plt.__name__ == "matplotlib.pyplot" and tqdm
assert kan.LBFGS is LBFGS and kan.MLP.MLP is MLP and kan.hypothesis.plot_tree is plot_tree
assert kan.utils.SYMBOLIC_LIB is SYMBOLIC_LIB
dataset = create_dataset(lambda x: x[:, [0]], n_var=1)
print(type(LBFGS).__name__, create_dataset.__module__, len(dataset))
uninstall()
try:
    import kan.spline
except ModuleNotFoundError:
    print("gone")
"""
    assert run(code, tmp_path) == "type edgewise.compat.pykan._utils 4\ngone\n"


def test_names_are_those_of_the_star_import(tmp_path: Path) -> None:
    """What pykan 0.2.8 exports besides SymPy's names, as far as the packages are there."""
    code = """
from edgewise.compat.pykan import *
for name in '''LBFGS SYMBOLIC_LIB add_symbolic augment_input batch_hessian batch_jacobian copy
    create_dataset create_dataset_from_data curve2coef ex_round f_arccos f_arcsin f_arctanh f_exp
    f_inv f_inv2 f_inv3 f_inv4 f_inv5 f_invsqrt f_log f_power1d5 f_sqrt f_tan fit_params
    get_derivative glob hypothesis model2param nn np os plot_tree plt random re sparse_mask spline
    sympy torch tqdm utils symbols sin pi'''.split():
    assert name in globals(), name
assert np.__name__ == "numpy"
"""
    run(code, tmp_path)


def test_pykan_itself_is_there(tmp_path: Path) -> None:
    code = """
import types
sys.modules["kan"] = types.ModuleType("kan")
from edgewise import ConfigError
from edgewise.compat.pykan import install
try:
    install()
except ConfigError as error:
    print(error)
"""
    assert "before the first `import kan`" in run(code, tmp_path)


def test_front() -> None:
    x = np.array([3, 1, 2, 1, 2, 4])
    y = np.array([1.0, 5.0, 2.0, 5.0, 3.0, 1.0])
    px, py, ids = pareto_frontier(x, y)
    assert ids.tolist() == [0, 1, 2]
    assert px.tolist() == [3, 1, 2]
    assert py.tolist() == [1.0, 5.0, 2.0]
