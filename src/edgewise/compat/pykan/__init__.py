"""pykan 0.2.8's interface: `from edgewise.compat.pykan import *`."""

from typing import Any as _Any

# tools
from edgewise.compat.pykan._compiler import expr2kan as expr2kan
from edgewise.compat.pykan._compiler import kanpiler as kanpiler
from edgewise.compat.pykan._compiler import next_nontrivial_operation as next_nontrivial_operation
from edgewise.compat.pykan._compiler import sf2kan as sf2kan
from edgewise.compat.pykan._experiment import pareto_frontier as pareto_frontier
from edgewise.compat.pykan._experiment import runner1 as runner1
from edgewise.compat.pykan._feynman import get_feynman_dataset as get_feynman_dataset
from edgewise.compat.pykan._hypothesis import batch_grad_normgrad as batch_grad_normgrad
from edgewise.compat.pykan._hypothesis import detect_separability as detect_separability
from edgewise.compat.pykan._hypothesis import get_dependence as get_dependence
from edgewise.compat.pykan._hypothesis import get_molecule as get_molecule
from edgewise.compat.pykan._hypothesis import get_tree_node as get_tree_node
from edgewise.compat.pykan._hypothesis import plot_tree as plot_tree
from edgewise.compat.pykan._hypothesis import test_general_separability as test_general_separability
from edgewise.compat.pykan._hypothesis import test_separability as test_separability
from edgewise.compat.pykan._hypothesis import test_symmetry as test_symmetry
from edgewise.compat.pykan._hypothesis import test_symmetry_var as test_symmetry_var
from edgewise.compat.pykan._install import borrowed as _borrowed
from edgewise.compat.pykan._install import install as install
from edgewise.compat.pykan._install import uninstall as uninstall

# networks
from edgewise.compat.pykan._layers import KANLayer as KANLayer
from edgewise.compat.pykan._layers import Symbolic_KANLayer as Symbolic_KANLayer
from edgewise.compat.pykan._lbfgs import LBFGS as LBFGS
from edgewise.compat.pykan._mlp import MLP as MLP
from edgewise.compat.pykan._network import KAN as KAN
from edgewise.compat.pykan._network import MultKAN as MultKAN
from edgewise.compat.pykan._spline import B_batch as B_batch
from edgewise.compat.pykan._spline import coef2curve as coef2curve
from edgewise.compat.pykan._spline import curve2coef as curve2coef
from edgewise.compat.pykan._spline import extend_grid as extend_grid
from edgewise.compat.pykan._utils import augment_input as augment_input
from edgewise.compat.pykan._utils import batch_hessian as batch_hessian
from edgewise.compat.pykan._utils import batch_jacobian as batch_jacobian
from edgewise.compat.pykan._utils import create_dataset as create_dataset
from edgewise.compat.pykan._utils import create_dataset_from_data as create_dataset_from_data
from edgewise.compat.pykan._utils import ex_round as ex_round
from edgewise.compat.pykan._utils import fit_params as fit_params
from edgewise.compat.pykan._utils import get_derivative as get_derivative
from edgewise.compat.pykan._utils import model2param as model2param
from edgewise.compat.pykan._utils import sparse_mask as sparse_mask
from edgewise.compat.pykan._words import SYMBOLIC_LIB as SYMBOLIC_LIB
from edgewise.compat.pykan._words import add_symbolic as add_symbolic


def __getattr__(name: str) -> _Any:
    """Find what pykan's star import brings along: `torch`, `np`, `plt`, SymPy's names."""
    return _borrowed(name)
