"""Families of one-variable functions: `phi(x) = sum_b c_b B_b(x)` for each of them."""

from edgewise.bases._basis import Basis as Basis
from edgewise.bases._bspline import BSpline as BSpline
