"""From an expression to a network of locked edges that computes it."""

from edgewise._symbolic._compile._build import compile_formula as compile_formula
