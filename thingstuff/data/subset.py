"""Some of a split's images, with all that is said of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from thingstuff.data.truth import SplitTruth


def subset(truth: SplitTruth, file_names: Collection[str]) -> SplitTruth:
    """The images of these names, in the order of the whole; records keep their ids and the places where they stand."""
    wanted = set(file_names)
    images = [n for n, image in enumerate(truth.images) if _is_in(image.get("file_name"), wanted)]
    ids = {key for n in images if isinstance(key := truth.images[n].get("id"), int | str)}
    kept = replace(
        truth,
        images=[truth.images[n] for n in images],
        image_places=[truth.image_place(n) for n in images],
        json_path=None,
    )
    if truth.annotations is not None:
        notes = [n for n, note in enumerate(truth.annotations) if _is_in(note.get("image_id"), ids)]
        places = [truth.annotation_place(n) for n in notes]
        kept = replace(kept, annotations=[truth.annotations[n] for n in notes], annotation_places=places)
    if truth.panoptic is not None:
        own = [note for note in truth.panoptic.annotations if _is_in(note.get("image_id"), ids)]
        kept = replace(kept, panoptic=replace(truth.panoptic, annotations=own, is_whole=False))
    return kept


def _is_in(value: object, wanted: Collection[object]) -> bool:
    """A damaged record may have a list or a dictionary for a name or an id."""
    return isinstance(value, int | str) and value in wanted
