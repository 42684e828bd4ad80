"""What a refined store is known by: the store that it was made of, the weights, and what was asked of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from sam_masks.refine import RefineOptions
from sam_masks.segmenter import MaskOptions
from sam_masks.weights import weights_hash
from thingstuff.store import Store, StoreMeta

_PACKAGES = ("thingstuff", "transformers", "torch", "torchvision", "numpy")


def refined_meta(
    store: Store, model: Path, masks: MaskOptions, options: RefineOptions, image_root: Path | None
) -> StoreMeta:
    """As the store's own, with other hashes: a run goes on only with the same of all three.

    How many prompts go together changes a last digit at most, and is no part of it.
    """
    root = store.meta.image_root if image_root is None else str(image_root.absolute())
    return replace(
        store.meta,
        config_hash=_hash(store.meta.config_hash, repr(replace(masks, batch=1)), repr(options)),
        weights_hash=_hash(store.meta.weights_hash, weights_hash(model)),
        versions={name: version for name in _PACKAGES if (version := _version(name))},
        image_root=root,
    )


def _hash(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
