"""What an exported file says of itself, as JSON inside it: the image it takes, what it gives, and what classes mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from thingstuff.engine.preprocess import Preprocess
from thingstuff.errors import DataError, UserError
from thingstuff.merge import Rule, build_rule
from thingstuff.modeling.label_space import LabelSpace
from thingstuff.structures import Categories

KEY = "thingstuff"  # of ONNX's metadata_props
FORMAT = 1  # raised when an older thingstuff could misread a file
CONVENTIONS = {
    "image": "3 x H x W float32, 0 to 255, at the top left of the canvas; the rest of the canvas may hold anything",
    "image_size": "height and width of the image on the canvas, float32",
    "boxes": "N x 4 float32: x0, y0, x1, y1 in pixels of the canvas, clipped to the image",
    "scores": "N float32, falling",
    "classes": "N int64: positions among the categories with isthing 1",
    "masks": "N x M x M float32 probabilities, spread over the box; a pixel is inside from mask_threshold on",
    "logits": "C x h x w float32, logits_stride pixels of the canvas apart (bilinear, align_corners False); "
    "label_ids says what category each of the C means, null: some thing",
}


@dataclass(frozen=True)
class Card:
    """`height` and `width` are those of the canvas, or None where it may be any multiple of `side_multiple` between
    `shortest_canvas_px` and `longest_canvas_px`. `merge` is the rule's name and its thresholds, where there is stuff.
    """

    outputs: tuple[str, ...]
    height: int | None
    width: int | None
    side_multiple: int
    shortest_canvas_px: int
    longest_canvas_px: int
    preprocess: Preprocess
    categories: Categories
    score_thresh: float
    mask_threshold: float
    logits_stride: int | None = None
    label_ids: tuple[int | None, ...] = ()
    merge: Mapping[str, Any] | None = None
    architecture: str = ""
    config: str = ""
    weights_sha256: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.outputs or set(self.outputs) - set(CONVENTIONS):
            raise DataError(f"outputs are {list(self.outputs)}, expected some of {list(CONVENTIONS)[2:]}")
        if (self.height is None) != (self.width is None):
            raise DataError(f"the canvas is {self.height} x {self.width}")
        if self.has_logits and (not self.label_ids or not self.logits_stride):
            raise DataError("there are logits, and nothing says what they mean")

    @property
    def has_logits(self) -> bool:
        return "logits" in self.outputs

    @property
    def has_instances(self) -> bool:
        return "boxes" in self.outputs

    def labels(self) -> LabelSpace:
        return LabelSpace(self.label_ids)

    def rule(self) -> Rule | None:
        return None if self.merge is None else build_rule(self.merge["rule"], **self.merge["thresholds"])

    def text(self) -> str:
        """JSON, with the conventions of what the file takes and gives."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        own |= {"categories": self.categories.to_coco(), "preprocess": vars(self.preprocess)}
        seen = ("image", "image_size", *self.outputs)
        return json.dumps({"format": FORMAT, **own, "conventions": {k: CONVENTIONS[k] for k in seen}}, indent=1)

    @classmethod
    def parse(cls, text: str, path: Path) -> Card:
        """From `text` of the file `path`; a damaged or newer card is refused."""
        try:
            record = json.loads(text)
            if record["format"] > FORMAT:
                raise DataError(
                    f"its format is {record['format']}, newer than {FORMAT}: use the thingstuff of its maker"
                )
            values = {f.name: record[f.name] for f in fields(cls)}
            card = cls(**values | _rebuilt(values))
            card.rule()
        except (UserError, KeyError, TypeError, ValueError, AttributeError) as error:
            what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            raise DataError(
                f"{path} cannot be used, its description is damaged or newer ({what}): export again"
            ) from error
        return card


def _rebuilt(values: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON turned into lists and dictionaries, and the numbers that decide about memory checked."""
    for name in ("height", "width", "side_multiple", "shortest_canvas_px", "longest_canvas_px"):
        value = values[name]
        if not (isinstance(value, int) and 0 < value < 1 << 16) and not (value is None and name in ("height", "width")):
            raise DataError(f"{name} is {value!r}")
    preprocess = Preprocess(**values["preprocess"])
    sides = preprocess.shortest_px, preprocess.longest_px
    if not (all(0 <= side < 1 << 16 for side in sides) and preprocess.channels in ("BGR", "RGB")):
        raise DataError(f"preprocess is {values['preprocess']!r}")
    return {
        "outputs": tuple(values["outputs"]),
        "label_ids": tuple(values["label_ids"]),
        "categories": Categories.from_coco(values["categories"]),
        "preprocess": preprocess,
        "score_thresh": float(values["score_thresh"]),
        "mask_threshold": float(values["mask_threshold"]),
    }
