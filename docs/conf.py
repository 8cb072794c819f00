"""Settings of the documentation; `make docs` builds it with warnings as errors."""

import shutil
from pathlib import Path

import xecgnet_jax

HERE = Path(__file__).resolve().parent
# Sphinx reads files below its own folder only.
shutil.copytree(HERE.parent / "notebooks", HERE / "notebooks", dirs_exist_ok=True)

project = "xecgnet-jax"
author = "The xecgnet-jax maintainers"
release = version = xecgnet_jax.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"xecgnet-jax {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
default_role = "code"  # of `names` in docstrings
exclude_patterns = ["build", "**.ipynb_checkpoints"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks are run, and compared with what they hold, by the tests

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_class_signature = "separated"  # fields are told once, not as parameters of __init__ as well
autodoc_default_options = {"exclude-members": "__init__, __new__"}
autodoc_inherit_docstrings = False
autodoc_type_aliases = {"Array": "Array"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
