"""Pictures of networks and fits, as Matplotlib figures: nothing is shown and no file is written."""

from edgewise.plot._edge import edge as edge
from edgewise.plot._history import history as history
from edgewise.plot._network import network as network
