"""A network traced by `torch.export`: the common start of both formats."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.export import Dim

from thingstuff.engine.exported.card import Card
from thingstuff.modeling.exportable.network import Network

_LOUD = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export", "torch.fx", "torch._dynamo", "torch._export")
_SAMPLE_SIDES = (10, 13)  # of the traced canvas where it may be any, in multiples: two that nothing else equals


def trace(network: Network, card: Card) -> torch.export.ExportedProgram:
    """The network for the canvas of `card`: what it computes, operation by operation, without Python."""
    multiple = card.side_multiple
    if card.height is None or card.width is None:
        least, most = card.shortest_canvas_px // multiple, card.longest_canvas_px // multiple
        sides = Dim("rows", min=least, max=most), Dim("columns", min=least, max=most)
        shapes = ({1: multiple * sides[0], 2: multiple * sides[1]}, None)
        height, width = (max(least, min(most, side)) * multiple for side in _SAMPLE_SIDES)
    else:
        shapes, height, width = None, card.height, card.width
    sample = torch.zeros(3, height, width), torch.tensor([float(height), float(width)])
    with quietly(), torch.no_grad():
        program = torch.export.export(network, sample, dynamic_shapes=shapes)
    program.example_inputs = None  # as large as an image, and nobody needs them
    return program


@contextmanager
def quietly() -> Iterator[None]:
    """The exporters' remarks are about their own code."""
    loggers = [logging.getLogger(name) for name in _LOUD]
    before = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
