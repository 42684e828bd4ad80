"""ONNX: written by PyTorch's exporter, run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from thingstuff.engine.exported.card import KEY, Card
from thingstuff.engine.exported.traced import quietly
from thingstuff.errors import DataError, SetupError
from thingstuff.modeling.exportable.network import INPUT_NAMES

MOST_BYTES = 2_000_000_000  # protobuf's messages end at 2 GiB
_FATAL = 4  # of onnxruntime's log levels: its errors are raised as well


def write_onnx(program: torch.export.ExportedProgram, card: Card, file: BinaryIO) -> None:
    """Write a traced network, with its card among the metadata."""
    _require("onnx", "onnxscript")
    _refuse_large(program)
    with quietly():
        made = torch.onnx.export(
            program,
            dynamo=True,
            optimize=False,  # whose patterns take minutes; onnxruntime has them too when it opens the file
            verbose=False,
            input_names=INPUT_NAMES,
            output_names=card.outputs,
            custom_translation_table={torch.ops.aten.sort.stable: _stable_sort},
        )
    _simplify(made.model)
    _drop_traces(made.model)
    made.model.metadata_props[KEY] = card.text()
    file.write(made.model_proto.SerializeToString())


def _stable_sort(values: Any, *, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
    """PyTorch's exporter has no translation for it. TopK takes equal values by index, as its definition says."""
    from onnxscript import opset18

    size = opset18.Gather(opset18.Shape(values), opset18.Constant(value_ints=[dim]))
    return opset18.TopK(values, size, axis=dim, largest=int(descending), sorted=1)


def _simplify(model: Any) -> None:
    """Compute what is known already, such as sizes."""
    from onnxscript import optimizer

    optimizer.fold_constants(model)
    optimizer.remove_unused_nodes(model)


def _drop_traces(model: Any) -> None:
    """The lines of Python that each node came from: long, and they name folders of this machine."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()


def _refuse_large(program: torch.export.ExportedProgram) -> None:
    size = sum(t.numel() * t.element_size() for t in program.state_dict.values())
    if size > MOST_BYTES:
        raise SetupError(f"the weights take {size / 1e9:.1f} GB, and an ONNX file ends at 2: use --format torch")


class OnnxNetwork:
    """An ONNX file of ours, ready to run."""

    def __init__(self, path: Path, device: str | None = None) -> None:
        runtime = _require("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = _FATAL
        providers = _providers(runtime, device)
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # its exceptions share no class
            raise _unreadable(path, error) from error
        text = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        if text is None:
            raise DataError(f"{path} was not made by tools/export.py: it does not say what its outputs mean")
        self.card = Card.parse(text, path)
        self._expect_names(path)

    def _expect_names(self, path: Path) -> None:
        inputs = tuple(one.name for one in self._session.get_inputs())
        outputs = tuple(one.name for one in self._session.get_outputs())
        if (inputs, outputs) != (INPUT_NAMES, self.card.outputs):
            raise DataError(f"{path}: takes {inputs} and gives {outputs}, but says {self.card.outputs}: export again")

    def __call__(self, image: NDArray[np.float32], image_size: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """`image` 3 x H x W on its canvas, `image_size` height and width -> outputs by name."""
        values = self._session.run(None, {"image": image, "image_size": image_size})
        return dict(zip(self.card.outputs, values, strict=True))


def _unreadable(path: Path, error: Exception) -> DataError:
    first = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
    return DataError(f"{path} is damaged, cut short or no ONNX model ({first}): export again")


def _providers(runtime: Any, device: str | None) -> list[str]:
    """By default a GPU where this onnxruntime knows one."""
    there = runtime.get_available_providers()
    if device is None:
        return [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in there]
    if device == "cpu":
        return ["CPUExecutionProvider"]
    if device.startswith("cuda") and "CUDAExecutionProvider" in there:
        number = int(device.partition(":")[2] or 0)
        return [("CUDAExecutionProvider", {"device_id": number}), "CPUExecutionProvider"]
    raise SetupError(
        f"this onnxruntime cannot compute on {device}: install onnxruntime-gpu in its place, or choose cpu"
    )


def _require(*names: str) -> Any:
    """Import packages of the extra `export`, and give the first."""
    import importlib

    try:
        modules = [importlib.import_module(name) for name in names]
    except ModuleNotFoundError as error:
        raise SetupError(f"ONNX needs {error.name}: pip install 'thingstuff[export]'") from error
    return modules[0]
