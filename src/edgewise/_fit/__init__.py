"""Fit networks to data: losses, solvers, the search for the right size and grid."""

from edgewise._fit._data import Data as Data
from edgewise._fit._data import check as check
from edgewise._fit._data import split as split
from edgewise._fit._fit import fit as fit
from edgewise._fit._gauss_newton import normal_equations as normal_equations
from edgewise._fit._losses import CrossEntropy as CrossEntropy
from edgewise._fit._losses import Huber as Huber
from edgewise._fit._losses import Loss as Loss
from edgewise._fit._losses import Squared as Squared
from edgewise._fit._monitor import Monitor as Monitor
from edgewise._fit._monitor import OutOfTime as OutOfTime
from edgewise._fit._parquet import Parquet as Parquet
from edgewise._fit._posterior import Posterior as Posterior
from edgewise._fit._posterior import Prediction as Prediction
from edgewise._fit._posterior import posterior as posterior
from edgewise._fit._problem import Problem as Problem
from edgewise._fit._result import FitResult as FitResult
from edgewise._fit._result import Outcome as Outcome
from edgewise._fit._result import Status as Status
from edgewise._fit._result import Step as Step
from edgewise._fit._result import Trial as Trial
from edgewise._fit._solvers import LBFGS as LBFGS
from edgewise._fit._solvers import Adam as Adam
from edgewise._fit._solvers import LevenbergMarquardt as LevenbergMarquardt
from edgewise._fit._solvers import Solver as Solver
