"""One evaluation as one HTML page."""

from xecgnet_jax.report.contents import Contents
from xecgnet_jax.report.page import report_html

__all__ = ["Contents", "report_html"]
