"""What `--input` of a bulk prediction names: files, folders, globs, a data set, a COCO file, Parquet, or storage."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thingstuff.data.bulk.coco_file import coco_inputs
from thingstuff.data.bulk.items import BulkInputs, BulkItem, is_url
from thingstuff.data.bulk.parquet_images import PARQUET_SUFFIX, Columns, parquet_inputs
from thingstuff.data.bulk.storage import list_objects, root_of
from thingstuff.data.inputs import Inputs, dataset_inputs, find_inputs, is_dataset, natural
from thingstuff.errors import ConfigError, DataError


@dataclass(frozen=True)
class Listing:
    """How inputs are to be understood. `image_root` is of a COCO file; below `outside`, the output, nothing counts."""

    image_root: str | None = None
    columns: Columns = field(default_factory=Columns)
    outside: Path | None = None


def find_bulk_inputs(arguments: Sequence[str], listing: Listing) -> tuple[BulkInputs, str | None]:
    """The images, and the name of the data set that they are, if they are one."""
    first = arguments[0]
    if len(arguments) == 1 and not is_url(first) and is_dataset(first):
        return _of_local(dataset_inputs(first), listing.outside), first
    if len(arguments) == 1 and first.lower().endswith(".json"):
        return coco_inputs(first, listing.image_root), None
    if listing.image_root is not None:
        raise ConfigError("--image-root is for one COCO file (.json): leave it out")
    if all(PARQUET_SUFFIX in argument.lower() for argument in arguments):
        return _of_parquet(arguments, listing.columns), None
    if all(is_url(argument) for argument in arguments):
        return _of_storage(arguments), None
    if any(is_url(argument) for argument in arguments):
        raise DataError("local inputs and those of storage have no common root: predict them one after the other")
    return _of_local(find_inputs(arguments), listing.outside), None


def _of_local(inputs: Inputs, outside: Path | None) -> BulkInputs:
    if inputs.videos:
        raise DataError(
            f"{inputs.videos[0].path} is a video: --engine ray takes images, videos go through the plain engine"
        )
    folder = None if outside is None else outside.resolve()
    kept = [one for one in inputs.images if folder is None or not one.path.resolve().is_relative_to(folder)]
    if not kept:
        raise ConfigError(f"all inputs lie in --output {outside}: give another output folder")
    items = (BulkItem(one.key, os.path.abspath(one.path), one.image_id) for one in kept)  # noqa: PTH100  keeps links
    return BulkInputs(str(inputs.root), tuple(items))


def _of_storage(arguments: Sequence[str]) -> BulkInputs:
    root = _common([root_of(argument) for argument in arguments])
    sizes = {address: size for argument in arguments for address, size in list_objects(argument).items()}
    keys = {address: address.removeprefix(root).lstrip("/") for address in sizes}
    ordered = sorted(sizes, key=lambda address: natural(keys[address]))
    return BulkInputs(root, tuple(BulkItem(keys[one], one, bytes=sizes[one]) for one in ordered))


def _of_parquet(arguments: Sequence[str], columns: Columns) -> BulkInputs:
    files = [file for argument in arguments for file in _parquet_files(argument)]
    return parquet_inputs(files, _common([file.rpartition("/")[0] for file in files]), columns)


def _parquet_files(argument: str) -> list[str]:
    if not is_url(argument):
        argument = f"file://{Path(argument).expanduser().absolute()}"
        return [address.removeprefix("file://") for address in _parquet_files(argument)]
    return sorted(list_objects(argument, (PARQUET_SUFFIX,)), key=natural)


def _common(roots: Sequence[str]) -> str:
    """The deepest prefix of whole parts that all share."""
    parts = [root.split("/") for root in roots]
    shared = [same[0] for same in zip(*parts, strict=False) if len(set(same)) == 1]
    first_difference = next((n for n, same in enumerate(zip(*parts, strict=False)) if len(set(same)) > 1), len(shared))
    root = "/".join(parts[0][:first_difference]) if len(roots) > 1 else roots[0]
    if not root.strip("/:") or root.endswith(":/"):
        raise DataError(f"{roots[0]} and {roots[-1]} share no root: predict them one after the other")
    return root
