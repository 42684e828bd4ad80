"""A folder of SAM's weights, as transformers saves them -> a network; nothing is fetched, and no pickle is read."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path
from typing import Any

from thingstuff.errors import SetupError, WeightsError
from thingstuff.evaluation.json_file import read_json

# model_type in config.json -> the class; the files of SAM 2 hold its video model, of which images need a part
CLASSES = {"sam": "SamModel", "sam2": "Sam2Model", "sam2_video": "Sam2Model"}
_NEEDED = "Segment Anything needs transformers 4.56 or newer: pip install 'thingstuff[sam]'"
_CONFIG = "config.json"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")
_IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}


def load_network(folder: Path, device: str = "cpu") -> Any:
    """The `SamNetwork` of a folder with config.json and model.safetensors, in float32.

    Unlike `from_pretrained`, which leaves weights random that the file lacks, this refuses them.
    """
    check_folder(folder)
    model_class = _model_class(folder)
    from sam_masks.network import SamNetwork

    model = _loaded(model_class, folder).to(device).eval().requires_grad_(False)
    return SamNetwork(model, *_colours(folder))


def check_folder(folder: Path) -> None:
    """Refuse what is no folder of SAM's weights, before anything heavy is imported."""
    if not folder.is_dir():
        hint = "give the folder that holds it" if folder.is_file() else "fetch the weights into it first"
        raise WeightsError(f"there is no folder of weights at {folder}: {hint}")
    if not (folder / _CONFIG).is_file():
        raise WeightsError(f"{folder} has no {_CONFIG}: give a folder as transformers saves a model")
    if not any((folder / name).is_file() for name in _WEIGHTS):
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth"))
        why = f"{pickles[0]} is a pickle, which is not read" if pickles else "there are no weights in it"
        raise WeightsError(f"{folder} has no {_WEIGHTS[0]} ({why}): fetch the file of that name, or save it so")
    _kind(folder)


def weights_hash(folder: Path) -> str:
    """SHA-256 of everything in the folder that an answer depends on."""
    names = [_CONFIG, *_PREPROCESSORS, *sorted(path.name for path in folder.glob("*.safetensors"))]
    digest = hashlib.sha256()
    for name in [name for name in names if (folder / name).is_file()]:
        with (folder / name).open("rb") as file:
            digest.update(name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def check_transformers() -> None:
    """Whether the extra is there, without loading it."""
    if importlib.util.find_spec("transformers") is None:
        raise SetupError(_NEEDED)


def require_transformers() -> Any:
    """transformers, which is told to stay away from the network and from the terminal."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when it is imported
    try:
        import transformers
        from transformers import Sam2Model, SamModel  # noqa: F401  a version that lacks them is too old
    except ImportError as error:
        raise SetupError(_NEEDED) from error
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _kind(folder: Path) -> str:
    config = read_json(folder / _CONFIG)
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in CLASSES:
        raise WeightsError(f"{folder / _CONFIG} is of a {kind or 'nameless'} model: expected {', '.join(CLASSES)}")
    return str(kind)


def _model_class(folder: Path) -> Any:
    return getattr(require_transformers(), CLASSES[_kind(folder)])


def _loaded(model_class: Any, folder: Path) -> Any:
    import torch

    try:
        model, found = model_class.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True, dtype=torch.float32
        )
    except Exception as error:  # whatever a damaged file or a config of another model leads to
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise WeightsError(f"{folder} cannot be read as a {model_class.__name__}: {reason}") from error
    missing = sorted(found["missing_keys"])
    if missing:
        raise WeightsError(f"{folder} lacks {len(missing)} weights of a {model_class.__name__}, as {missing[0]}")
    return model


def _colours(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of colours up to 1: what the folder says, or ImageNet's, as published weights have."""
    stated: dict[str, Any] = {}
    for name in [name for name in _PREPROCESSORS if (folder / name).is_file()]:
        content = read_json(folder / name)
        content = content.get("image_processor", content) if isinstance(content, dict) else {}
        stated = {**content, **stated}
    return _three(stated, "image_mean", folder), _three(stated, "image_std", folder)


def _three(stated: dict[str, Any], key: str, folder: Path) -> tuple[float, ...]:
    numbers = stated.get(key, _IMAGENET[key])
    if (
        not isinstance(numbers, list | tuple)
        or len(numbers) != 3
        or not all(isinstance(n, int | float) for n in numbers)
    ):
        raise WeightsError(f"{folder}: {key} of its preprocessor: expected three numbers, got {str(numbers)[:60]}")
    return tuple(map(float, numbers))
