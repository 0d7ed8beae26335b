"""Sphinx's settings. `scripts/docs` builds the site from these pages; nothing is fetched while it is built or read."""

from bot import __version__

project = "Vaultkeel"
author = "the Vaultkeel authors"
project_copyright = author
version = release = __version__

extensions = ["myst_parser"]
myst_heading_anchors = 4
myst_enable_extensions = ["tasklist"]
exclude_patterns = ["static"]

html_theme = "furo"
html_title = f"Vaultkeel {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
