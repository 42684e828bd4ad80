"""Label Studio: its JSON export, one list of tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thingstuff.data.formats.coco_images import guess_image_root
from thingstuff.data.formats.coco_json import find_json
from thingstuff.data.formats.faults import Faults
from thingstuff.data.formats.format import INSTANCES, Format, Source
from thingstuff.data.formats.image_files import image_record
from thingstuff.data.formats.instance_records import Instances, categories_of, shown
from thingstuff.data.formats.label_studio_shapes import shape_of
from thingstuff.data.formats.label_studio_task import LabelStudioTask, read_task, regions_of
from thingstuff.data.formats.label_studio_write import write_label_studio
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError
from thingstuff.evaluation.json_file import read_json
from thingstuff.progress import watched

_HEAD_BYTES = 1 << 14
_PROBES = 3  # tasks by whose images the image folder is guessed


def recognise_label_studio(path: Path) -> bool:
    """A JSON file, or that of a folder, which begins as a list of tasks does."""
    try:
        with find_json(path).open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return False
    is_list = head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    return is_list and b'"annotations"' in head and (b'"result"' in head or b'"data"' in head)


def read_label_studio(source: Source) -> SplitTruth:
    """Each area is an instance. Of several annotations of a task the last counts that nobody cancelled.

    A task without one is left out, since nobody looked at it; one that is empty is an image without instances.
    """
    path = find_json(source.annotations)
    faults = Faults(source.lenient)
    tasks = _tasks(path, _image_key(source), faults)
    labelled = [task for task in tasks if task.results is not None]
    root = source.images or _image_root(path, labelled)
    read = _Read(root, faults)
    for task in watched(labelled, f"reading {path.name}"):
        read.add(task)
    categories, notes = categories_of(source.categories, read.found.labels())
    return SplitTruth(
        name=str(path),
        image_root=root,
        categories=categories,
        images=read.images,
        annotations=read.found.categorised(categories),
        annotation_places=read.found.places,
        image_places=[task.place for task in labelled],
        notes=(*notes, *_notes(tasks, read.left_out), *faults.settle(str(path))),
    )


@dataclass
class _Read:
    """What is read so far; image ids are running numbers. `left_out` counts the types of what is no area."""

    root: Path
    faults: Faults
    images: list[Record] = field(default_factory=list)
    found: Instances = field(default_factory=Instances)
    left_out: dict[str, int] = field(default_factory=dict)

    def add(self, task: LabelStudioTask) -> None:
        number, file_name = len(self.images) + 1, task.reference.below(self.root)
        regions = list(regions_of(task, self.left_out, self.faults))
        stated = [region.stated_hw for region in regions if region.stated_hw is not None]
        if stated:
            self.images.append({"id": number, "file_name": file_name, "width": stated[0][1], "height": stated[0][0]})
        else:
            self.images.append(image_record(number, file_name, self.root))
        image = self.images[-1]
        size_hw = (image["height"], image["width"]) if "height" in image else None
        for region in regions:
            with self.faults.skipping("regions that cannot be read"):
                if region.stated_hw not in (None, size_hw):
                    raise DataError(f"{region.place}: its image has another size than in the task's other results")
                self.found.add(number, region.label, shape_of(region, size_hw), region.place)


def _image_key(source: Source) -> str | None:
    key = source.options.get("image")
    if not isinstance(key, str | None):
        raise DataError(f"image: expected the name of a key of the tasks' data, got {shown(key)}")
    return key


def _tasks(path: Path, image_key: str | None, faults: Faults) -> list[LabelStudioTask]:
    content = read_json(path)
    if not isinstance(content, list):
        raise DataError(f"{path}: expected Label Studio's JSON, a list of tasks, got {shown(content)}")
    tasks = []
    for number, value in enumerate(content):
        with faults.skipping("tasks that cannot be read"):
            tasks.append(read_task(value, number, path.name, image_key, faults))
    return [task for task in tasks if task is not None]


def _image_root(path: Path, tasks: Sequence[LabelStudioTask]) -> Path:
    """The folder near the JSON that has the images of the first tasks, whatever is left of their paths."""
    names = [name for task in tasks[:_PROBES] for name in (task.reference.names[0], *task.reference.names[-2:])]
    return guess_image_root(path, [{"file_name": name} for name in names])


def _notes(tasks: Sequence[LabelStudioTask], left_out: dict[str, int]) -> Iterator[str]:
    alone = sum(task.results is None for task in tasks)
    if alone:
        yield f"left out: {alone} of the images, which nobody has labelled"
    others = [task.others for task in tasks if task.others]
    if others:
        yield f"left out: {sum(others)} annotations of {len(others)} tasks that have several: the last of each is read"
    for kind, count in sorted(left_out.items()):
        yield f"left out: {count} of the results, which are of the type {shown(kind)} and no areas"


LABEL_STUDIO = Format(
    name="label_studio",
    title="Label Studio: its JSON export, a list of tasks",
    recognises=recognise_label_studio,
    read=read_label_studio,
    write=write_label_studio,
    holds=frozenset({INSTANCES}),
    files=".json",
    options={"image": "the key of a task's data that is its image"},
)
