"""What a store was made with: meta.json, which decides whether a later run may continue it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thingstuff.errors import DataError
from thingstuff.files import write_json
from thingstuff.store.layout import JSONL, LAYOUTS, META_NAME, PARQUET
from thingstuff.structures import Categories

_COMPARED = {"config_hash": "another config", "weights_hash": "other weights", "image_root": "another image root"}
# raised when an older thingstuff could misread a store: one that knows 1 alone would take Parquet shards for none
_FORMAT_OF = {JSONL: 1, PARQUET: 2}
FORMAT = max(_FORMAT_OF.values())


@dataclass(frozen=True)
class StoreMeta:
    """The run behind a store. `versions` (of packages) and `dataset` inform; all else must agree to continue one.

    `image_root` is the folder that keys are relative to: below another one the same key would be another image.
    `layout` says how the predictions lie on the disk (`store/layout.py`).
    """

    config_hash: str
    weights_hash: str
    categories: Categories
    versions: Mapping[str, str] = field(default_factory=dict)
    dataset: str | None = None
    image_root: str | None = None
    layout: str = JSONL

    def write(self, folder: Path) -> None:
        """Write meta.json, whole or not at all."""
        record = {
            "format": _FORMAT_OF[self.layout],
            **({} if self.layout == JSONL else {"layout": self.layout}),
            "dataset": self.dataset,
            "image_root": self.image_root,
            "config_hash": self.config_hash,
            "weights_hash": self.weights_hash,
            "versions": dict(self.versions),
            "categories": self.categories.to_coco(),
        }
        write_json(folder / META_NAME, record)

    @classmethod
    def read(cls, folder: Path) -> StoreMeta:
        """Read meta.json; a missing, damaged or newer one is refused."""
        path = folder / META_NAME
        record = _record(path)
        if isinstance(record, dict) and "format" not in record:
            raise DataError(
                f"{folder}: holds no predictions ({path.name} is of another program): give a store's folder"
            )
        try:
            _check_format(record["format"])
            return cls(
                str(record["config_hash"]),
                str(record["weights_hash"]),
                Categories.from_coco(record["categories"]),
                {str(name): str(version) for name, version in record["versions"].items()},
                record["dataset"],
                record["image_root"],
                _known_layout(record.get("layout", JSONL)),
            )
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: is damaged ({type(error).__name__}: {error}): remove the folder") from error

    def refuse_other(self, other: StoreMeta, folder: Path) -> None:
        """Raise unless predictions of `other` may join those of this store. Colours may differ."""
        if self.layout != other.layout:
            raise DataError(
                f"{folder}: its predictions lie in {self.layout} files, and this run would write {other.layout}: go on "
                "with the engine that wrote them (--engine ray writes parquet), or give another output folder"
            )
        for what, kind in _COMPARED.items():
            here, there = getattr(self, what), getattr(other, what)
            if here != there:
                shown = (here, there) if what == "image_root" else (here[:12], there[:12])
                raise DataError(_refusal(folder, kind, *shown))
        pairs = zip(_essence(self.categories), _essence(other.categories), strict=False)
        differing = [(here, there) for here, there in pairs if here != there]
        if differing:
            raise DataError(_refusal(folder, "other categories", *differing[0]))
        if len(self.categories) != len(other.categories):
            raise DataError(_refusal(folder, "other categories", len(self.categories), len(other.categories)))


def is_store(folder: Path) -> bool:
    """Whether a folder has a meta.json of ours: other programs have files of that name too."""
    try:
        return '"config_hash"' in (folder / META_NAME).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def _record(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path.parent}: holds no predictions (there is no {path.name}): give a store's folder"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: is no JSON ({error}): remove the folder, or restore the file") from error


def _check_format(number: object) -> None:
    if not isinstance(number, int) or number > FORMAT:
        raise DataError(
            f"expected a format up to {FORMAT}, got {number!r}: use the thingstuff that wrote it, or a newer"
        )


def _known_layout(name: Any) -> str:
    if name not in LAYOUTS:
        raise DataError(f"expected a layout out of {', '.join(LAYOUTS)}, got {name!r}")
    return str(name)


def _essence(categories: Categories) -> list[tuple[int, str, str]]:
    return [(c.id, c.name, "thing" if c.isthing else "stuff") for c in categories.all]


def _refusal(folder: Path, what: str, here: object, there: object) -> str:
    return (
        f"{folder}: its predictions were made with {what} ({here}, now {there}): "
        "give another output folder, or remove this one"
    )
