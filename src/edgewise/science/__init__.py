"""Ask what structure a function or a table has: what separates, what is symmetric, what is tied."""

# derivatives
from edgewise.science._derivatives import Derivatives as Derivatives
from edgewise.science._derivatives import derivatives as derivatives

# separability
from edgewise.science._lump import Lump as Lump
from edgewise.science._lump import lump as lump

# relations
from edgewise.science._relations import Relation as Relation
from edgewise.science._relations import Relations as Relations
from edgewise.science._relations import discover_relations as discover_relations
from edgewise.science._separate import Separation as Separation
from edgewise.science._separate import separate as separate

# the whole tree
from edgewise.science._structure import Structure as Structure
from edgewise.science._structure import structure as structure

# symmetry
from edgewise.science._symmetry import Invariance as Invariance
from edgewise.science._symmetry import Symmetries as Symmetries
from edgewise.science._symmetry import Symmetry as Symmetry
from edgewise.science._symmetry import invariant as invariant
from edgewise.science._symmetry import symmetries as symmetries
