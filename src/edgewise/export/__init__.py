"""Formulas as code for other languages."""

from edgewise.export._c import to_c as to_c
from edgewise.export._python import to_python as to_python
