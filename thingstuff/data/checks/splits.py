"""What is wrong between splits: exchanged image folders, classes that one lacks, splits and images without anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from thingstuff.data.checks.check import Check, Checked, Code, Finding, as_text
from thingstuff.data.checks.numbers import is_key
from thingstuff.data.truth import Record, SplitTruth

SPLITS_SWAPPED = Code("splits-swapped", "error", "give each split its own image folder")
CLASS_MISSING = Code("class-missing", "warning", "divide the images anew, so that each split has some of each class")
CLASS_UNUSED = Code("class-unused", "info", "leave the category out, if it is not to come")
IMAGE_EMPTY = Code("image-empty", "info", "nothing, if there is nothing in the image")
SPLIT_EMPTY = Code("split-empty", "error", "check the paths of the split")

SWAPPED_SHARE = 0.5  # of the images: this many are missing here and found there


def _run(data: Checked) -> Iterator[Finding]:
    for name, split in data.splits.items():
        if not split.images:
            yield Finding(SPLIT_EMPTY, name, split.name, "it has no image")
    yield from _swapped(data)
    yield from _classes(data)
    for name, split in data.splits.items():
        yield from _empty(name, split)


def _swapped(data: Checked) -> Iterator[Finding]:
    for name, split in data.splits.items():
        missing = [n for n, found in enumerate(data.image_files[name].located) if found.state == "missing"]
        if len(missing) <= SWAPPED_SHARE * len(split.images):
            continue
        file_names = [split.images[number]["file_name"] for number in missing]
        for other, images in data.image_files.items():
            count = sum(images.files.find(one).state == "there" for one in file_names) if other != name else 0
            if count > SWAPPED_SHARE * len(split.images):
                message = (
                    f"of its {len(split.images)} images {len(missing)} are not in its folder {split.image_root}, and "
                    f"{count} of those are in the folder of {other}, {images.files.root}"
                )
                yield Finding(SPLITS_SWAPPED, name, split.name, message)


# ---- classes -----------------------------------------------------------------------------------------------------


def _classes(data: Checked) -> Iterator[Finding]:
    """Classes go by their names, since splits may number them differently."""
    counts = {name: found for name, split in data.splits.items() if (found := _instances(split)) is not None}
    for class_name in dict.fromkeys(one for found in counts.values() for one in found):
        having = {name: found[class_name] for name, found in counts.items() if found.get(class_name)}
        others = ", ".join(f"{name} has {number}" for name, number in having.items())
        lacking = [name for name in counts if name not in having and data.splits[name].images]
        for name in lacking if having else lacking[:1]:
            place = data.splits[name].name
            if having:
                yield Finding(CLASS_MISSING, name, place, f"it has no instance of {class_name!r:.80}: {others}")
            else:
                yield Finding(CLASS_UNUSED, name, place, f"no split has an instance of {class_name!r:.80}")


def _instances(split: SplitTruth) -> dict[str, int] | None:
    """How many instances (crowds do not count) each class has, 0 included; None where instances are not listed."""
    if split.annotations is not None:
        records, are_wanted = split.annotations, [c.get("isthing", 1) for c in split.categories]
    elif split.panoptic is not None:
        records, are_wanted = list(_segments(split.panoptic.annotations)), [True] * len(split.categories)
    else:
        return None
    categories = [c for c, wanted in zip(split.categories, are_wanted, strict=True) if wanted and is_key(c.get("id"))]
    ids = (r.get("category_id") for r in records if not r.get("iscrowd"))
    times = Counter(one for one in ids if is_key(one))
    counts: dict[str, int] = {}
    for category in categories:
        name = str(category.get("name"))
        counts[name] = counts.get(name, 0) + times[category.get("id")]
    return counts


def _segments(records: list[Record]) -> Iterator[Record]:
    for record in records:
        infos = record.get("segments_info") if isinstance(record, dict) else None
        yield from (info for info in (infos if isinstance(infos, list) else ()) if isinstance(info, dict))


def _empty(name: str, split: SplitTruth) -> Iterator[Finding]:
    if split.annotations is None:
        return
    used = {i for record in split.annotations if is_key(i := record.get("image_id"))}
    for number, image in enumerate(split.images):
        if is_key(image.get("id")) and image.get("id") not in used:
            message = f"no annotation is of {as_text(image.get('file_name'))}"
            yield Finding(IMAGE_EMPTY, name, split.image_place(number), message)


SPLITS = Check((SPLITS_SWAPPED, CLASS_MISSING, CLASS_UNUSED, IMAGE_EMPTY, SPLIT_EMPTY), _run, is_quick=True)
