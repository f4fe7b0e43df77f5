"""Find the formula behind a table: closed forms, structure, and libraries of small expressions."""

from edgewise._symbolic._discover._discover import discover as discover
from edgewise._symbolic._discover._front import Front as Front
