"""The comparison page: what was compared, in words, tables and pictures, as a web page that opens from the disk."""

from thingstuff.report.page.compare_page import PageOptions, write_page
from thingstuff.report.page.model import Layer, LayerSegment, LegendEntry, Page, PageImage, PageTable

__all__ = ["Layer", "LayerSegment", "LegendEntry", "Page", "PageImage", "PageOptions", "PageTable", "write_page"]
