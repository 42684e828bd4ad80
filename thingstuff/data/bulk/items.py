"""The images of a bulk prediction as a worker gets them: where each lies, and under which key it is stored."""

from __future__ import annotations

from dataclasses import dataclass

from thingstuff.errors import DataError
from thingstuff.store.image import check_key


@dataclass(frozen=True, slots=True)
class BulkItem:
    """One image. `address` is a local path or a URL; with `row`, of a Parquet file in whose column the image lies.

    `bytes` is its size, where the listing told it.
    """

    key: str
    address: str
    image_id: int | str | None = None
    row: int | None = None
    column: str | None = None
    bytes: int | None = None

    @property
    def is_local(self) -> bool:
        return self.row is None and not is_url(self.address)


@dataclass(frozen=True)
class BulkInputs:
    """Images with distinct keys relative to `root`, in the order in which they are cut into shards."""

    root: str
    items: tuple[BulkItem, ...]

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for item in self.items:
            try:
                check_key(item.key)
            except DataError as error:
                raise DataError(f"{_place(item)}: {error}") from error
            if item.key in seen:
                raise DataError(
                    f"{seen[item.key]} and {_place(item)} are both {item.key!r}: each image needs its own key"
                )
            seen[item.key] = _place(item)


def is_url(text: str) -> bool:
    return "://" in text


def _place(item: BulkItem) -> str:
    return item.address if item.row is None else f"{item.address}, row {item.row}"
