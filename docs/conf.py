"""How the pages are built: Sphinx, Furo, MyST-NB; tutorials are executed and must not fail."""

import os
import tempfile
from importlib.metadata import version as installed_version

project = "edgewise"
author = "The edgewise authors"
copyright = "2026, The edgewise authors"
release = version = installed_version("edgewise")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "myst_nb",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "edgewise"
html_static_path = ["_static"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
nb_execution_cache_path = tempfile.mkdtemp()  # no cache among the sources

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
