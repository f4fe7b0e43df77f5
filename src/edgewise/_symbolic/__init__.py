"""Formulas: match edges with primitives, lock them, read a whole network."""

from edgewise._symbolic._compile import compile_formula as compile_formula
from edgewise._symbolic._discover import Front as Front
from edgewise._symbolic._discover import discover as discover
from edgewise._symbolic._formula import Constant as Constant
from edgewise._symbolic._formula import Formula as Formula
from edgewise._symbolic._match import Match as Match
from edgewise._symbolic._match import Suggestions as Suggestions
from edgewise._symbolic._match import lock as lock
from edgewise._symbolic._match import suggest as suggest
from edgewise._symbolic._symbolize import symbolize as symbolize
from edgewise._symbolic._unlock import unlock as unlock
