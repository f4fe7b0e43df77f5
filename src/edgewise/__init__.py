"""Kolmogorov–Arnold networks that fit to machine precision and give their formula back."""

from edgewise import bases as bases
from edgewise import export as export
from edgewise import pde as pde
from edgewise import plot as plot
from edgewise import science as science

# networks
from edgewise._network import KAN as KAN
from edgewise._layer import KANLayer as KANLayer
from edgewise._linear import KANLinear as KANLinear
from edgewise._network import Trace as Trace
from edgewise._network import trace as trace

# derivatives in the inputs
from edgewise._jets import Jet as Jet
from edgewise._jets import jet as jet

# grids
from edgewise._grid import adapt as adapt
from edgewise._grid import refine as refine
from edgewise._grid import relocate as relocate

# bounds
from edgewise._bound import bound as bound
from edgewise._bound import unbound as unbound

# growing
from edgewise._surgery import insert as insert
from edgewise._widen import widen as widen

# nodes and edges by hand
from edgewise._merge import Merged as Merged
from edgewise._merge import merge as merge
from edgewise._surgery import remove as remove
from edgewise._surgery import select_inputs as select_inputs
from edgewise._surgery import split as split
from edgewise._surgery import swap as swap
from edgewise._untangle import untangle as untangle
from edgewise._untangle import wire_length as wire_length

# fitting
from edgewise._fit import LBFGS as LBFGS
from edgewise._fit import Adam as Adam
from edgewise._fit import CrossEntropy as CrossEntropy
from edgewise._fit import FitResult as FitResult
from edgewise._fit import GaussNewtonCG as GaussNewtonCG
from edgewise._fit import Huber as Huber
from edgewise._fit import LevenbergMarquardt as LevenbergMarquardt
from edgewise._fit import Loss as Loss
from edgewise._fit import Outcome as Outcome
from edgewise._fit import Parquet as Parquet
from edgewise._fit import Posterior as Posterior
from edgewise._fit import Prediction as Prediction
from edgewise._fit import Solver as Solver
from edgewise._fit import Squared as Squared
from edgewise._fit import Status as Status
from edgewise._fit import Step as Step
from edgewise._fit import Trial as Trial
from edgewise._fit import fit as fit
from edgewise._fit import posterior as posterior

# pruning
from edgewise._prune import Attribution as Attribution
from edgewise._interactions import interactions as interactions
from edgewise._prune import attribute as attribute
from edgewise._prune import prune as prune

# formulas
from edgewise._symbolic import Constant as Constant
from edgewise._symbolic import Formula as Formula
from edgewise._symbolic import Front as Front
from edgewise._symbolic import Match as Match
from edgewise._symbolic import Suggestions as Suggestions
from edgewise._symbolic import compile_formula as compile_formula
from edgewise._symbolic import discover as discover
from edgewise._symbolic import lock as lock
from edgewise._symbolic import suggest as suggest
from edgewise._symbolic import symbolize as symbolize
from edgewise._symbolic import unlock as unlock
from edgewise._primitives import PRIMITIVES as PRIMITIVES
from edgewise._primitives import Library as Library
from edgewise._primitives import Primitive as Primitive
from edgewise._primitives import power as power
from edgewise._types import Edge as Edge

# kernels
from edgewise._kernels import Kernels as Kernels
from edgewise._kernels import kernels as kernels

# files
from edgewise._io import load as load
from edgewise._io import read_notes as read_notes
from edgewise._io import save as save

# versions
from edgewise._history import History as History
from edgewise._history import Version as Version

# errors
from edgewise._errors import ConfigError as ConfigError
from edgewise._errors import DataError as DataError
from edgewise._errors import EdgewiseError as EdgewiseError
from edgewise._errors import FormatError as FormatError
from edgewise._errors import MissingExtraError as MissingExtraError
from edgewise._errors import ShapeError as ShapeError

__version__ = "0.1.0"
