"""Pictures of networks, fits and formulas, as Matplotlib figures: nothing is shown or written."""

from edgewise.plot._edge import edge as edge
from edgewise.plot._film import film as film
from edgewise.plot._front import front as front
from edgewise.plot._history import history as history
from edgewise.plot._network import network as network
from edgewise.plot._reel import Film as Film
from edgewise.plot._tree import tree as tree
from edgewise.plot._versions import versions as versions
