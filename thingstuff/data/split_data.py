"""One set of images -> splits: at random by a seed, with every class in each split as far as there is enough of it."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thingstuff.data.subset import subset
from thingstuff.data.truth import Record, SplitTruth
from thingstuff.errors import DataError

_ROUNDING = 1e-9


def split(
    truth: SplitTruth,
    shares: Mapping[str, float],
    seed: int = 0,
    *,
    stratify: bool = True,
    group_by: str | None = None,
) -> dict[str, SplitTruth]:
    """Split name -> its images with all that is said of them. Records keep their ids.

    Shares that are 1 together leave no image out; with less, the rest is in no split. No split is empty, and without
    `group_by` each has its share of the images to within one. The same seed gives the same splits, in whatever order
    the images are listed.

    `stratify`: the images that show a class are shared out like all images, the rarest class first (iterative
    stratification: Sechidis et al., "On the stratification of multi-label data", 2011). Classes are those of instances
    and of panoptic segments; label maps are not opened. Unlike there the sizes of the splits are kept.
    `group_by`: a regular expression; images for which its first group finds the same in the file name stay together.
    """
    _check_shares(shares)
    if seed < 0:
        raise DataError(f"expected a seed of 0 or more, got {seed}")
    groups = _groups(_names(truth), group_by)
    if len(groups) < len(shares):
        what = "images" if group_by is None else "groups of images"
        raise DataError(f"{truth.name}: {len(groups)} {what} are too few for {len(shares)} splits: ask for fewer")
    counts = _class_counts(truth, groups) if stratify else [Counter[Hashable]() for _ in groups]
    order = np.random.default_rng(seed).permutation(len(groups)).tolist()
    sharing = _Sharing([_Group(len(groups[n]), counts[n]) for n in order], list(shares.values()))
    parts = sharing.share_out()
    return {
        name: subset(truth, {one for n in part for one in groups[order[n]]})
        for name, part in zip(shares, parts, strict=False)
    }


def _check_shares(shares: Mapping[str, float]) -> None:
    if not shares:
        raise DataError("expected one split or more, with a share of the images for each")
    for name, share in shares.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise DataError(f"split {name!r}: expected a share above 0 and up to 1, got {share!r:.40}")
    if math.fsum(shares.values()) > 1 + _ROUNDING:
        raise DataError(f"expected shares of 1 in all or less, got {math.fsum(shares.values()):g}")


def _names(truth: SplitTruth) -> list[str]:
    """The different file names, sorted."""
    _refuse_odd(truth.images, "file_name", str, truth.image_place)
    _refuse_odd(truth.images, "id", int | str, truth.image_place)
    _refuse_odd(truth.annotations or (), "image_id", int | str, truth.annotation_place)
    if truth.panoptic is not None:
        path = truth.panoptic.json_path
        _refuse_odd(truth.panoptic.annotations, "image_id", int | str, lambda n: f"{path}: annotations[{n}]")
    return sorted({image["file_name"] for image in truth.images})


def _refuse_odd(records: Sequence[Record], key: str, kinds: Any, place: Callable[[int], str]) -> None:
    for number, record in enumerate(records):
        value = record.get(key)
        if not isinstance(value, kinds):
            wanted = "a text" if kinds is str else "a number or a text"
            how = "mend it first (tools/dataset.py check)"
            raise DataError(f"{place(number)}: {key}: expected {wanted}, got {value!r:.40}: {how}")


def _groups(names: Sequence[str], group_by: str | None) -> list[list[str]]:
    """The names that stay together."""
    if group_by is None:
        return [[name] for name in names]
    expression = _compiled(group_by)
    groups: dict[str, list[str]] = {}
    for name in names:
        match = expression.search(name)
        if match is None or match[1] is None:
            raise DataError(f"group_by: {group_by!r} finds no group in the image name {name!r}")
        groups.setdefault(match[1], []).append(name)
    return list(groups.values())


def _compiled(group_by: str) -> re.Pattern[str]:
    try:
        expression = re.compile(group_by)
    except (re.error, RecursionError, OverflowError) as error:
        raise DataError(f"group_by: {group_by!r} is no regular expression: {error}") from error
    if not expression.groups:
        raise DataError(f"group_by: {group_by!r} has no group: put what images have in common in (parentheses)")
    return expression


def _class_counts(truth: SplitTruth, groups: Sequence[Sequence[str]]) -> list[Counter[Hashable]]:
    """For each group, how many of its images show a class."""
    group_of = {name: n for n, group in enumerate(groups) for name in group}
    names = {image["id"]: image["file_name"] for image in truth.images}
    seen = {(names[image_id], category) for image_id, category in _sightings(truth) if image_id in names}
    counts: list[Counter[Hashable]] = [Counter() for _ in groups]
    for name, category in seen:
        counts[group_of[name]][category] += 1
    return counts


def _sightings(truth: SplitTruth) -> Iterator[tuple[Any, Any]]:
    """Image id and category id of every instance and segment; what is no category id is left out."""
    notes = [(note.get("image_id"), note) for note in truth.annotations or ()]
    for note in truth.panoptic.annotations if truth.panoptic is not None else ():
        segments = note.get("segments_info")
        found = segments if isinstance(segments, list) else []
        notes += [(note.get("image_id"), segment) for segment in found if isinstance(segment, dict)]
    for image_id, note in notes:
        category = note.get("category_id")
        if isinstance(category, int | str):
            yield image_id, category


@dataclass(frozen=True)
class _Group:
    """Images that stay together: how many, and how many of them show each class."""

    size: int
    classes: Counter[Hashable]


class _Sharing:
    """Gives groups to splits; what no split gets goes to one more, the last, if the shares are not 1 together."""

    def __init__(self, groups: Sequence[_Group], shares: Sequence[float]) -> None:
        self._groups = groups
        self._named = len(shares)
        rest = 1 - math.fsum(shares)
        all_shares = [*shares, rest] if rest > _ROUNDING else list(shares)
        self._room = _sizes(all_shares, sum(group.size for group in groups), self._named)
        self._left: Counter[Hashable] = Counter()  # images a class that are not given yet
        for group in groups:
            self._left.update(group.classes)
        self._lacking = {c: [share * count for share in all_shares] for c, count in self._left.items()}
        self._parts: list[list[int]] = [[] for _ in all_shares]
        self._open = dict.fromkeys(range(len(groups)))  # in order, and quick to remove from

    def share_out(self) -> list[list[int]]:
        """The numbers of the groups of each split."""
        with_class: dict[Hashable, list[int]] = defaultdict(list)
        for number, group in enumerate(self._groups):
            for category in group.classes:
                with_class[category].append(number)
        while left := [c for c, count in self._left.items() if count]:
            rarest = min(left, key=lambda c: (self._left[c], str(c)))
            of_class = [n for n in with_class[rarest] if n in self._open]
            for number in sorted(of_class, key=lambda n: -self._groups[n].classes[rarest]):
                self._give(number, rarest)
        for number in sorted(self._open, key=lambda n: -self._groups[n].size):
            self._give(number, None)
        return self._parts

    def _give(self, number: int, category: Hashable | None) -> None:
        lacking = self._lacking[category] if category is not None else self._room
        chosen = max(self._eligible(), key=lambda part: (lacking[part], self._room[part]))
        group = self._groups[number]
        self._parts[chosen].append(number)
        self._room[chosen] -= group.size
        del self._open[number]
        for each, count in group.classes.items():
            self._lacking[each][chosen] -= count
            self._left[each] -= count

    def _eligible(self) -> list[int]:
        empty = [part for part in range(self._named) if not self._parts[part]]
        if len(self._open) <= len(empty):  # large groups have taken what these should have
            return empty
        return [part for part, room in enumerate(self._room) if room > 0]


def _sizes(shares: Sequence[float], count: int, named: int) -> list[int]:
    """`count` images by shares that are 1 together, rounded by the largest remainder; none of the named ones is 0."""
    exact = [share * count for share in shares]
    sizes = [math.floor(one + _ROUNDING) for one in exact]
    by_remainder = sorted(range(len(shares)), key=lambda n: sizes[n] - exact[n])
    for n in by_remainder[: count - sum(sizes)]:
        sizes[n] += 1
    for n in range(named):
        if sizes[n] == 0:
            sizes[sizes.index(max(sizes))] -= 1
            sizes[n] = 1
    return sizes
