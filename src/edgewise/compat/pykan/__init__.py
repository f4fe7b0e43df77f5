"""pykan 0.2.8's interface: `from edgewise.compat.pykan import *`."""

# networks
from edgewise.compat.pykan._layers import KANLayer as KANLayer
from edgewise.compat.pykan._layers import Symbolic_KANLayer as Symbolic_KANLayer
from edgewise.compat.pykan._network import KAN as KAN
from edgewise.compat.pykan._network import MultKAN as MultKAN

# tools
