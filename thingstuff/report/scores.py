"""What an evaluation of stored predictions gives: the numbers, what draws them again, and where they are lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from thingstuff.evaluation.ap_causes import ApCauses
from thingstuff.evaluation.ap_curves import PrecisionRecall
from thingstuff.evaluation.bootstrap import BlockMetric
from thingstuff.evaluation.coco_ap import Backend
from thingstuff.evaluation.panoptic_causes import PanopticCauses
from thingstuff.evaluation.skips import Skips
from thingstuff.report.figures import Reliability

Results = dict[str, dict[str, float]]


@dataclass(frozen=True)
class ScoreOptions:
    """How to evaluate. `panoptic_folder` is where the PNGs of a panoptic JSON are, if not in the folder of its name.

    With `explain`, the causes of lost AP and PQ are found too. With `lenient`, records that cannot count are left out
    and noted; with `reliability` it is counted how often a score means what it says.
    With `only_stored` AP is of the images that a store has, and not of all; then `image_ids` are those.
    """

    backend: Backend = "hotcoco"
    iou_threshs: tuple[float, ...] = ()
    boundary: bool = False
    lenient: bool = False
    explain: bool = True
    reliability: bool = False
    only_stored: bool = False
    image_ids: frozenset[int | str] | None = None
    panoptic_folder: Path | None = None

    def skips(self) -> Skips | None:
        """For one task: each reads the records for itself."""
        return Skips() if self.lenient else None


@dataclass(frozen=True)
class Sample:
    """A metric as a function of how often each image counts."""

    image_ids: tuple[int | str, ...]
    metric: BlockMetric


@dataclass
class Scores:
    """Filled task by task.

    `results`: task -> metric -> percent, as an evaluation in training gives them, with the reason for every undefined
    one in `undefined`. `samples` are the metrics whose images can be drawn again, by name. `notes` are for the reader.
    """

    results: Results = field(default_factory=dict)
    undefined: dict[str, dict[str, str]] = field(default_factory=dict)
    samples: dict[str, Sample] = field(default_factory=dict)
    class_samples: dict[str, dict[str, Sample]] = field(default_factory=dict)  # by task and class
    ap_causes: dict[str, ApCauses] = field(default_factory=dict)  # by task
    curves: dict[str, PrecisionRecall] = field(default_factory=dict)  # by task
    reliability: dict[str, Reliability] = field(default_factory=dict)  # by task
    panoptic_causes: PanopticCauses | None = None
    has_ledger: bool = False  # so that it is known what a merge dropped
    notes: list[str] = field(default_factory=list)

    def note_skips(self, title: str, skips: Skips | None) -> None:
        self.notes.extend(f"{title}: {line}" for line in (skips.lines() if skips else ()))

    def note_once(self, *notes: str | None) -> None:
        """What each task would say again."""
        self.notes.extend(note for note in notes if note and note not in self.notes)
