"""Ask what structure a function or a table has: what separates, what is symmetric, what is tied."""

from edgewise.science._derivatives import Derivatives as Derivatives
from edgewise.science._derivatives import derivatives as derivatives
from edgewise.science._separate import Separation as Separation
from edgewise.science._separate import separate as separate
