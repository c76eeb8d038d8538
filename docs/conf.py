"""The documentation site: Markdown by MyST, built by Sphinx; `make docs` treats every warning as an error."""

project = "Bascule"
author = "the Bascule founders"
copyright = "2026, the Bascule founders"  # noqa: A001
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "Bascule"
html_static_path = ["_static"]
myst_heading_anchors = 3
exclude_patterns = ["_static"]
suppress_warnings = ["misc.highlighting_failure"]
