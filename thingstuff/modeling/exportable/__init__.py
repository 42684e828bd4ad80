"""Detectron2's models as plain functions of tensors, which `torch.export` and ONNX can carry."""

from thingstuff.modeling.exportable.build import SUPPORTED, exportable

__all__ = ["SUPPORTED", "exportable"]
