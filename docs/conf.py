"""The documentation site: ``python -m sphinx -W docs docs/_build``. Nothing is fetched while it is built."""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))
os.environ["EPGNUMBA_QUIET"] = "1"  # what examples print is shown

import epgnumba  # noqa: E402

project = "epgnumba"
author = "The epgnumba developers"
project_copyright = author
version = release = epgnumba.__version__

extensions = [
    "site_pages",  # before numpydoc: it sees docstrings as they are written
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_ext", "_templates", "figures"]
templates_path = ["_templates"]
default_role = "py:obj"
nitpicky = False  # docstrings put arguments into backticks too

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # docstrings tell types, with shapes and units
autodoc_member_order = "bysource"
autosummary_ignore_module_all = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries = False

plot_formats = [("png", 160)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "abort_on_example_error": True,
    "backreferences_dir": "reference/generated/examples",
    "capture_repr": (),  # what scripts print is shown, not what their last line happens to be
    "doc_module": ("epgnumba",),
    "download_all_examples": False,
    "examples_dirs": ["../examples/gallery"],
    "gallery_dirs": ["gallery"],
    "min_reported_time": 1000,
    "reference_url": {"epgnumba": None},
    "remove_config_comments": True,
    "reset_modules": ("matplotlib", "site_pages.tell_scripts_where_they_are"),
    "show_memory": False,
    "show_signature": False,
    "within_subsection_order": "FileNameSortKey",
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "epgnumba"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "epgnumba"},
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": []}
