"""Several predictions of the same images side by side, and for each what its panoptic merge gains and loses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from thingstuff.data.results import RESULTS
from thingstuff.data.results.import_results import is_imported
from thingstuff.errors import DataError
from thingstuff.evaluation.ap_bootstrap import coco_ap_metric
from thingstuff.evaluation.bootstrap import BlockMetric, Difference, Interval, semantic_miou
from thingstuff.evaluation.merge_cost import STAGES, MergeCost, MergeCostOptions, merge_cost
from thingstuff.evaluation.merged_instances import MergedImage
from thingstuff.evaluation.stuff_cost import StuffCost, StuffImage, stuff_cost
from thingstuff.progress import watched
from thingstuff.report.error_bars import differences, intervals
from thingstuff.report.foreign_store import import_for_comparison
from thingstuff.report.ground_truth import GroundTruth, open_truth
from thingstuff.report.scores import Sample, ScoreOptions, Scores
from thingstuff.report.store_categories import renumbering
from thingstuff.report.stored_scores import image_ids, read_labels, score_store, store_folder, truth_name
from thingstuff.store import Store
from thingstuff.store.meta import is_store

AP_IN_MAP, MIOU_IN_MAP, COST = "mask AP in the map", "mIoU in the map", "mask AP by merging"


@dataclass(frozen=True)
class ComparisonOptions:
    """`names` of the stores, in their order (default: their folders'); the draws are those of the error bars.

    `import_folder` is where results of other programs become stores.
    """

    names: Sequence[str] = ()
    import_folder: Path | None = None
    truth_folder: Path | None = None
    draws: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Compared:
    """One store: its scores as `evaluate.py` gives them, and what the merge costs where there are panoptic maps."""

    name: str
    store: Store
    ids: Mapping[str, int | str]  # the truth's image id of each key
    scores: Scores
    intervals: Mapping[str, Interval]
    merge: MergeCost | None = None
    stuff: StuffCost | None = None
    void: float | None = None  # the share of all pixels that belong to no segment of the maps


@dataclass(frozen=True)
class Comparison:
    """`differences` of each later store to the first, by name and metric."""

    truth: GroundTruth
    stores: tuple[Compared, ...]
    options: ComparisonOptions
    differences: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)


_DEFAULT = ComparisonOptions()


def compare_stores(
    folders: Sequence[Path], ground_truth: str | None = None, options: ComparisonOptions = _DEFAULT
) -> Comparison:
    """Score every store on the truth, by default the data set that the first was made for.

    What is no store are results of another program, in a format that is recognised.
    """
    own = {path: Store.open(store_folder(path)) for path in folders if _is_store(path)}
    names = _names(folders, options.names)
    truth = open_truth(truth_name(list(own.values()), ground_truth), options.truth_folder)
    stores = _imported(folders, own, truth, options)
    _refuse_other_images(stores, names)
    compared = tuple(_score(*one, truth, options) for one in zip(names, stores, strict=True))
    for one in compared:
        one.scores.notes.extend(_unanswered(one, truth))
    first, *others = compared
    found = {other.name: differences(_samples(other), _samples(first), options.draws, options.seed) for other in others}
    return Comparison(truth, compared, options, found)


def picture_path(store: Store, key: str) -> Path:
    """Where the picture of an image was when it was predicted."""
    return Path(store.meta.image_root or ".", key)


def _imported(
    paths: Sequence[Path], own: Mapping[Path, Store], truth: GroundTruth, options: ComparisonOptions
) -> list[Store]:
    """The stores in the order of `paths`, those of other programs' results made now."""
    first = next(iter(own.values()), None)
    keys = {} if first is None else {i: key for key, i in image_ids(first, truth, ScoreOptions(), Scores()).items()}
    stores = []
    for number, path in enumerate(paths):
        if path in own:
            stores.append(own[path])
            continue
        if options.import_folder is None:
            raise DataError(f"{path} is no store: say where its results are to become one")
        folder = options.import_folder / f"{number}_{path.stem}"
        stores.append(Store.open(import_for_comparison(path, truth, keys, folder)))
    return stores


def _is_store(path: Path) -> bool:
    """A folder that holds one, or that nobody knows as anything else."""
    if not path.is_dir():
        return False
    return is_store(store_folder(path)) or not any(each.recognises(path) for each in RESULTS.values())


def _names(folders: Sequence[Path], given: Sequence[str]) -> list[str]:
    names = list(given) or _shortest_names(folders)
    if len(names) != len(folders):
        raise DataError(f"--names: expected {len(folders)}, one for each of the stores, got {len(names)}")
    if len(set(names)) < len(names):
        raise DataError(f"two stores have one name: {', '.join(names)}: give each its own with --names")
    return names


def _shortest_names(paths: Sequence[Path]) -> list[str]:
    """As many last parts of each path as tell them apart, if anything does."""
    whole = [path.resolve().with_suffix("") if path.is_file() else path.resolve() for path in paths]
    names: list[str] = []
    for count in range(1, max(len(path.parts) for path in whole) + 1):
        names = ["/".join(path.parts[-count:]) for path in whole]
        if len(set(names)) == len(names):
            break
    return names


def _refuse_other_images(stores: Sequence[Store], names: Sequence[str]) -> None:
    first = set(stores[0].keys())
    for store, name in zip(stores[1:], names[1:], strict=True):
        other = first ^ set(store.keys())
        if not other:
            continue
        holder, lacking = (names[0], name) if min(other) in first else (name, names[0])
        advice = "predict the same images with both"
        if other < first or other < set(store.keys()):
            advice = f"was the run of {lacking} cut short? The same predict.py command goes on where it stopped"
        raise DataError(
            f"{names[0]} and {name} are of other images: {min(other)!r} is in {holder} alone ({len(other)} such "
            f"images): {advice}"
        )


def _score(name: str, store: Store, truth: GroundTruth, options: ComparisonOptions) -> Compared:
    scores = Scores()
    score_store(store, truth, ScoreOptions(only_stored=True, explain=False), scores)
    ids = image_ids(store, truth, ScoreOptions(), Scores())
    found = intervals(scores.samples, options.draws, options.seed)
    merged = all(e.has_panoptic and e.has_detections for e in store.entries) and truth.instances is not None
    compared = Compared(name, store, ids, scores, found)
    if not merged or "segm" not in scores.results:
        return compared
    try:
        return _with_costs(compared, truth, options)
    except DataError as error:
        raise DataError(f"{store.folder}: {error}") from error


def _unanswered(compared: Compared, truth: GroundTruth) -> list[str]:
    """What a reader misses, and why it is not said."""
    entries, notes = compared.store.entries, []
    if not any(entry.has_panoptic for entry in entries):
        how = "merge with tools/store.py merge"
        if not is_imported(compared.store):
            how = f"predict with PANOPTIC.ENABLED True, or {how}"
        notes.append(f"there are no panoptic maps, so nothing is said of a merge: {how}")
        return [*notes, *_missing_pictures(compared)]
    if truth.panoptic is None:
        notes.append(f"no PQ, since {truth.name} has no panoptic maps: a registered data set has all kinds of truth")
    if truth.instances is None:
        notes.append(f"no AP and no cost of the merge, since {truth.name} has no instances")
    if "mIoU" not in compared.scores.samples and any(entry.has_stuff_map for entry in entries):
        notes.append(f"no mean IoU, since {truth.name} has no label maps")
    return [*notes, *_missing_pictures(compared)]


def _missing_pictures(compared: Compared) -> list[str]:
    missing = [key for key in compared.ids if not picture_path(compared.store, key).is_file()]
    if not missing:
        return []
    path = picture_path(compared.store, missing[0])
    return [f"{len(missing)} of the pictures are no longer where they were, as {path}: the page shows them grey"]


@dataclass
class _Pixels:
    all: int = 0
    void: int = 0


def _with_costs(compared: Compared, truth: GroundTruth, options: ComparisonOptions) -> Compared:
    store, pixels = compared.store, _Pixels()
    assert truth.instances is not None
    moved, _ = renumbering(store.meta.categories, truth.category_records())
    settings = MergeCostOptions(moved, frozenset(compared.ids.values()), options.draws, options.seed)
    cost = merge_cost(_merged_images(compared, pixels), truth.instances, "segm", settings)
    compared = replace(compared, merge=cost, void=pixels.void / max(pixels.all, 1))
    stuff_names = tuple(category.name for category in store.meta.categories.stuff)
    if not truth.stuff_files or truth.stuff_names[1:] != stuff_names:
        return compared
    images = _stuff_images(compared, truth)
    draws = {"draws": options.draws, "seed": options.seed}
    return replace(compared, stuff=stuff_cost(images, store.meta.categories, truth.ignore_label, **draws))


def _merged_images(compared: Compared, pixels: _Pixels) -> Iterator[MergedImage]:
    """Counts the pixels on the way."""
    for key, image_id in watched(list(compared.ids.items()), f"{compared.name}: instances and segments"):
        image = compared.store.read(key, stuff=False)
        records = compared.store.coco_records(key, image_id)
        if image.panoptic is not None:
            pixels.all += image.panoptic.ids.size
            pixels.void += image.panoptic.ids.size - sum(segment.area for segment in image.panoptic.segments)
        yield MergedImage(image_id, records, image.panoptic, image.ledger)


def _stuff_images(compared: Compared, truth: GroundTruth) -> Iterator[StuffImage]:
    for key, image_id in watched(list(compared.ids.items()), f"{compared.name}: stuff"):
        image = compared.store.read(key)
        if image.stuff_map is not None and image.panoptic is not None:
            yield StuffImage(image_id, image.stuff_map, image.panoptic, read_labels(truth, image_id))


def _samples(compared: Compared) -> dict[str, Sample]:
    """Those of the scores, those of the panoptic map, and what merging adds to AP, below 0 if it costs some."""
    samples = dict(compared.scores.samples)
    if compared.merge:
        before, after = (coco_ap_metric(compared.merge.stages[stage].matches) for stage in (STAGES[0], STAGES[-1]))
        ids = samples["mask AP"].image_ids
        samples[AP_IN_MAP] = Sample(ids, after)
        samples[COST] = Sample(ids, BlockMetric(lambda weights: after.values(weights) - before.values(weights)))
    if compared.stuff:
        confusions = np.stack([counts.confusion for counts in compared.stuff.panoptic])
        samples[MIOU_IN_MAP] = Sample(compared.stuff.image_ids, semantic_miou(confusions))
    return samples
