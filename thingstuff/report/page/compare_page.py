"""Writes the comparison page: one file that opens from the disk, with its pictures inside or in a folder beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from thingstuff.errors import DataError
from thingstuff.files import whole_file
from thingstuff.report.page.image_files import EncodedImage, ImageFiles, json_text, refuse_foreign
from thingstuff.report.page.layer_record import finite, layer_record
from thingstuff.report.page.model import LOST, OUTCOMES, LegendEntry, Page, PageImage
from thingstuff.report.page.pictures import encode_picture, encode_thumbnail
from thingstuff.report.page.table_cells import table_cells
from thingstuff.report.table import column_sides

_HERE = Path(__file__).parent
_SCRIPTS = (
    "elements.js",
    "details.js",
    "outline.js",
    "viewer.js",
    "gallery.js",
    "page.js",
)  # one after the other, as one script


@dataclass(frozen=True)
class PageOptions:
    """How pictures are kept: beyond `embed_mb` or `embed_images` in a folder `<name>_files/` beside the page."""

    quality: int = 85  # of WebP, 1 to 100
    max_side_px: int = 1600  # pictures and maps of ids are shrunk to this
    thumbnail_px: int = 240
    embed_mb: float = 40
    embed_images: int = 500


def write_page(page: Page, path: Path, options: PageOptions | None = None) -> Path:
    """Write `page`, whole or not at all, and return its path. Images are held in memory only up to `embed_mb`."""
    path, options = Path(path), options or PageOptions()
    index = _Index(page)
    with ImageFiles(files_folder(path), options.embed_mb * 1e6, options.embed_images) as files:
        for image in page.images:
            try:
                files.add(_encoded(image, index.pair(image)[1], options))
            except DataError as error:
                raise DataError(f"image {image.key!r}: {error}") from error
            index.add(image)
        html = _render(page, index.record(files), files.details())
    with whole_file(path) as file:
        file.write(html.encode("utf-8", "replace"))  # a file name may hold what is no text
    return path


def check_page_path(path: Path) -> None:
    """Refuse, before any work, a path that `write_page` would refuse."""
    refuse_foreign(files_folder(path))


def files_folder(path: Path) -> Path:
    """Where the pictures of the page at `path` are, if they are too many to be inside."""
    return path.with_name(f"{path.stem}_files")


class _Index:
    """What the page knows of all images before one is opened."""

    def __init__(self, page: Page) -> None:
        self._compared, self._low_first = page.compared, page.low_first
        self._legend = [LegendEntry(*entry) for entry in page.legend]
        self._images: list[dict[str, Any]] = []
        self._views: dict[str, int] = {}
        self._ranks: dict[str, int] = {}
        self._classes = {entry.name: place for place, entry in enumerate(self._legend)}

    def pair(self, image: PageImage) -> tuple[str, str]:
        """The two views of an image that are laid over each other first."""
        wanted = self._compared or (_first_of(image.pictures, "instance"), _first_of(image.pictures, "panoptic"))
        names = list(image.pictures)
        left, right = (view if view in names else None for view in wanted)
        return left or names[0], right or names[-1]

    def add(self, image: PageImage) -> None:
        for view in image.pictures:
            self._views.setdefault(view, len(self._views))
        for rank in image.ranks:
            self._ranks.setdefault(rank, len(self._ranks))
        self._images.append(
            {
                "key": image.key,
                "width": image.width,
                "height": image.height,
                "pair": self.pair(image),
                "ranks": {name: finite(value) for name, value in image.ranks.items()},
                "has": self._classes_and_outcomes(image),
            }
        )

    def record(self, files: ImageFiles) -> dict[str, Any]:
        thumbnails = files.thumbnails()
        images = [image | {"small": link} for image, link in zip(self._images, thumbnails, strict=True)]
        used = {place for image in self._images for _, place in image["has"]}
        return {
            "views": list(self._views),
            "ranks": list(self._ranks),
            "classes": list(self._classes),
            "outcomes": [*OUTCOMES, LOST],
            "lowFirst": list(self._low_first),
            "usedOutcomes": sorted(used),
            "images": images,
            "scripts": files.scripts(),
        }

    def _classes_and_outcomes(self, image: PageImage) -> list[tuple[int, int]]:
        segments = [s for layer in image.layers.values() for s in (*layer.segments, *layer.dropped)]
        for segment in segments:
            self._classes.setdefault(segment.name, len(self._classes))
        found = {(self._classes[s.name], OUTCOMES.index(s.outcome)) for s in segments}
        return sorted(found | {(self._classes[s.name], len(OUTCOMES)) for s in segments if s.is_lost})


def _first_of(views: Any, ending: str) -> str | None:
    return next((view for view in views if view.endswith(ending)), None)


def _encoded(image: PageImage, thumbnail_view: str, options: PageOptions) -> EncodedImage:
    shown = image.pictures[thumbnail_view]
    return EncodedImage(
        encode_thumbnail(shown, options.thumbnail_px, options.quality),
        {view: encode_picture(p, options.max_side_px, options.quality) for view, p in image.pictures.items()},
        {name: layer_record(layer, options.max_side_px) for name, layer in image.layers.items()},
    )


def _render(page: Page, index: dict[str, Any], details: Sequence[dict[str, Any]]) -> str:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    index_text = json_text(index)
    return environment.get_template("template.html.j2").render(
        page=page,
        legend=[LegendEntry(*entry) for entry in page.legend],
        tables=[(t, column_sides(t.rows, len(t.headers), t.align), table_cells(t)) for t in page.tables],
        has_images=bool(index["images"]),
        css=_text("page.css") + (_text("figures.css") if page.figures else ""),
        script="\n".join(_text(name) for name in _SCRIPTS),
        nonce=hashlib.sha256((page.title + index_text).encode("utf-8", "replace")).hexdigest()[:32],
        index=index_text,
        details=[json_text(detail) for detail in details],
    )


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
