"""The hot loops. Today their plain torch form; the compiled core takes its place where it can."""

from edgewise._kernels._splines import dense_splines as dense_splines
from edgewise._kernels._splines import local_splines as local_splines
