"""How Sphinx makes the documentation."""

from tallyline import __version__

project = "Tallyline"
author = "The Tallyline authors"
copyright = "2026, The Tallyline authors"  # noqa: A001 - Sphinx's own name
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
myst_enable_extensions = ["deflist"]
nitpicky = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"Tallyline {version}"
