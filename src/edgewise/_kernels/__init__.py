"""The hot loops: a compiled core, and a twin of each kernel in plain torch.

The core runs on CPUs, in float32 and float64. The twin runs everywhere else, where the core is not
there, and in forward-mode differentiation; tests compare the two.
"""

from edgewise._kernels._backend import Kernels as Kernels
from edgewise._kernels._backend import kernels as kernels
from edgewise._kernels._edges import spline_edges as spline_edges
from edgewise._kernels._layer import spline_layer as spline_layer
from edgewise._kernels._splines import dense_splines as dense_splines
from edgewise._kernels._splines import local_splines as local_splines
from edgewise._kernels._sums import Columns as Columns
from edgewise._kernels._sums import gram as gram
from edgewise._kernels._sums import mirror as mirror
from edgewise._kernels._sums import pull as pull
