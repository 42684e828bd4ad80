"""The comparison page: what was compared, in words, tables and pictures, as a web page that opens from the disk."""

from thingstuff.report.page.compare_page import PageOptions, check_page_path, files_folder, write_page
from thingstuff.report.page.model import Layer, LayerSegment, LegendEntry, Outcome, Page, PageImage, PageTable

__all__ = [
    "Layer",
    "LayerSegment",
    "LegendEntry",
    "Outcome",
    "Page",
    "PageImage",
    "PageOptions",
    "PageTable",
    "check_page_path",
    "files_folder",
    "write_page",
]
