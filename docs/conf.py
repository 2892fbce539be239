"""How Sphinx makes the documentation."""

from tallyline import __version__

project = "Tallyline"
author = "The Tallyline authors"
copyright = "2026, The Tallyline authors"  # noqa: A001 - Sphinx's own name
version = release = __version__

extensions = ["myst_parser", "sphinx_click"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nitpicky = True
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"Tallyline {version}"
