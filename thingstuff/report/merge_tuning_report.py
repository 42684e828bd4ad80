"""What a tuning of the merge found: in words, as a table, as JSON, and as a fragment of a config."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thingstuff.files import whole_file, write_json
from thingstuff.merge import Greedy
from thingstuff.report.merge_tuning import Held, MergeTuning
from thingstuff.report.table import Table

_KEYS = {
    "INSTANCES_CONFIDENCE_THRESH": "instances_confidence_thresh",
    "OVERLAP_THRESH": "overlap_thresh",
    "STUFF_AREA_LIMIT": "stuff_area_limit",
}
_ADVICE = {
    "better": "",
    "worse": ": keep the present thresholds",
    "unchanged": "",
    "undecided": ": these images do not show that it improves",
}


@dataclass(frozen=True)
class MergeTuningReport:
    """`present_source` says where the present thresholds come from, `notes` are for the reader."""

    predictions: str
    ground_truth: str
    tuning: MergeTuning
    present_source: str
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        lines = list(self.notes)
        lines.append(f"present    {shown(self.tuning.present_rule)} ({self.present_source})")
        lines.append(f"best       {shown(self.tuning.best_rule)}")
        return "\n".join([*lines, "", self.table().text(), "", *self.sentences()])

    def table(self) -> Table:
        """The front, the present and the best, by falling PQ."""
        found = self.tuning
        rows: list[list[Any]] = []
        for n in sorted({*found.front, 0, found.best}, key=lambda n: -found.tried[n].quality["PQ"]):
            one = found.tried[n]
            number = found.front.index(n) + 1 if n in found.front else None
            what = ", ".join(name for name, place in (("best", found.best), ("present", 0)) if place == n)
            rows.append([*map(_number, _thresholds(one.rule)), *one.quality.values(), one.ap, number, what])
        headers = ["confidence", "overlap", "area", *found.tried[0].quality, "mask AP", "front", ""]
        footnotes = [
            f"percent on the {len(found.tuning_ids)} tuning images; {len(found.tried)} combinations were tried",
            "front: numbers of the picture, no other has more PQ and more AP; AP is that of the map's things",
        ]
        return Table(rows, headers, align="rrrrrrrrl", digits=2, footnotes=footnotes)

    def sentences(self) -> list[str]:
        """The answer, the chosen metric first."""
        found = self.tuning
        if not found.held:
            tried, images = len(found.tried), len(found.tuning_ids)
            return [
                f"No other of the {tried} combinations has more {found.options.metric} than the present thresholds on "
                f"the {images} tuning images: keep them"
            ]
        names = [found.options.metric, *(name for name in found.held if name != found.options.metric)]
        lines = [_sentence(name, found.held[name], len(found.held_ids)) for name in names]
        return [lines[0] + _ADVICE[found.held[names[0]].difference.verdict], *lines[1:]]

    def write(self, folder: Path) -> dict[str, Path]:
        """What was written, by what it is."""
        write_json(folder / "tune_merge.json", self.record())
        with whole_file(folder / "best.yaml") as file:
            file.write(self.fragment().encode())
        return {"results": folder / "tune_merge.json", "config": folder / "best.yaml"}

    def record(self) -> dict[str, Any]:
        found = self.tuning
        return {
            "predictions": self.predictions,
            "ground_truth": self.ground_truth,
            "settings": asdict(found.options),
            "present": {**asdict(found.present_rule), "source": self.present_source},
            "best": asdict(found.best_rule),
            "held_back": {name: asdict(held) for name, held in found.held.items()},
            "front": [asdict(found.tried[n].rule) for n in found.front],
            "combinations": [{**asdict(one.rule), **one.quality, "AP": one.ap} for one in found.tried],
            "tuning_images": list(found.tuning_ids),
            "held_back_images": list(found.held_ids),
            "notes": list(self.notes),
        }

    def fragment(self) -> str:
        """YAML for `_BASE_`: the best thresholds, under a comment that says what they brought."""
        rule = self.tuning.best_rule
        values = [f"  {key}: {_number(getattr(rule, name))}" for key, name in _KEYS.items()]
        return "\n".join([f"# {self.sentences()[0]}", "PANOPTIC:", '  RULE: "greedy"', *values, ""])

    def options(self) -> str:
        """The same for `--opts`."""
        rule = self.tuning.best_rule
        return " ".join(f"PANOPTIC.{key} {_number(getattr(rule, name))}" for key, name in _KEYS.items())


def shown(rule: Greedy) -> str:
    confidence, overlap, area = map(_number, _thresholds(rule))
    return f"confidence {confidence}, overlap {overlap}, area {area}"


def _thresholds(rule: Greedy) -> tuple[float, float, float]:
    return rule.instances_confidence_thresh, rule.overlap_thresh, rule.stuff_area_limit


def _number(value: float) -> str:
    """As short as it can be read back exactly; never with an exponent, which YAML may take for a text."""
    if float(value).is_integer():
        return str(int(value))
    text = repr(float(value))
    return text if "e" not in text else f"{value:.20f}".rstrip("0")


def _sentence(name: str, held: Held, images: int) -> str:
    d = held.difference
    if math.isnan(d.value):
        return f"{name} is undefined on the {images} held-back images"
    values = f"{name} {held.present:.2f} -> {held.best:.2f} on the {images} held-back images"
    if d.value == d.low == d.high == 0:
        return f"{values}: unchanged"
    bounds = "(too few images for an interval)" if math.isnan(d.low) else f"[{d.low:.2f}, {d.high:.2f}]"
    return f"{values}: {d.value:+.2f} {bounds}, {d.verdict}"
