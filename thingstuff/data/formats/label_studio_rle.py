"""Label Studio's brush masks: run lengths of RGBA values in units of bits, as the library thi.ng/rle-pack packs them.

The stream is 32 bits for the number of values, 5 for the bits of a value less 1, and four times 4 for sizes less 1;
then units: a bit that says whether it is a run, 2 bits that choose a size, so many bits for a length less 1, and one
value for the whole run, or `length` values. Values go along the rows, red, green, blue and alpha of each pixel; a pixel
is in the mask if its alpha is above 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from thingstuff.data.formats.instance_records import Crop
from thingstuff.errors import DataError
from thingstuff.structures.spans import Box, Spans, crop_from_spans

_HEAD_BITS = 53
_VALUE_BITS = 8
_SIZES = np.array([3, 4, 8, 16])  # bits of lengths, as Label Studio has them
_LONGEST = 1 << 16
_CHANNELS = 4
_WORD_BYTES = 8  # enough for the longest unit that is a run, wherever in a byte it begins
_DAMAGED = "the brush mask is cut off or damaged: export it again"


def decode_brush(data: bytes, size_hw: tuple[int, int], place: str) -> tuple[Crop, Box]:
    """The tight uint8 crop of 0 and 1, and its box. Nothing is expanded before the number of values is the image's."""
    height, width = size_hw
    head = int.from_bytes(data[:_WORD_BYTES], "big") >> (8 * _WORD_BYTES - _HEAD_BITS)
    if len(data) < _WORD_BYTES or (head >> 16 & 31) + 1 != _VALUE_BITS:
        raise DataError(f"{place}: {_DAMAGED}")
    count = head >> 21
    if count != _CHANNELS * height * width:
        raise DataError(
            f"{place}: expected a brush mask of {_CHANNELS} x {width} x {height} values, as its image has, got {count}"
        )
    sizes = tuple((head >> shift & 15) + 1 for shift in (12, 8, 4, 0))
    crop, (y0, x0, y1, x1) = crop_from_spans(_Units(data, sizes, count, place).spans(), width)
    return np.ascontiguousarray(crop.T), (x0, y0, x1, y1)


def encode_brush(crop: Crop, box: Box, size_hw: tuple[int, int]) -> list[int]:
    """A tight crop and its box -> the bytes, of runs alone; all four values of a pixel in the mask are 255."""
    lengths = _CHANNELS * _run_lengths(crop, box, size_hw)
    values = 255 * (np.arange(lengths.size) % 2)
    pieces = -(-lengths // _LONGEST)  # none for a length of 0
    shorter = np.full(pieces.sum(), _LONGEST)
    shorter[np.cumsum(pieces)[pieces > 0] - 1] = (lengths - _LONGEST * (pieces - 1))[pieces > 0]
    return _packed(shorter - 1, np.repeat(values, pieces), int(lengths.sum()))


@dataclass
class _Units:
    """The units, read one by one; `ends` are pixels at which the alpha values of `alphas` end."""

    data: bytes
    sizes: tuple[int, ...]
    count: int
    place: str
    ends: list[int] = field(default_factory=list)
    alphas: list[int] = field(default_factory=list)

    def spans(self) -> Spans:
        """Along the rows: pixel (x, y) has the position y * width + x."""
        self._read()
        ends = np.array(self.ends, np.int64)
        starts = np.append(0, ends)[:-1]
        inside = (np.array(self.alphas, np.int64) > 0)[ends > starts]
        starts = starts[ends > starts]
        edges = starts[np.flatnonzero(np.diff(inside, prepend=False))]
        return (edges if edges.size % 2 == 0 else np.append(edges, self.count // _CHANNELS)).reshape(-1, 2)

    def _read(self) -> None:
        padded, last_bit, sizes, from_bytes = (
            self.data + bytes(_WORD_BYTES),
            8 * len(self.data),
            self.sizes,
            int.from_bytes,
        )
        ends, alphas, bit, done = self.ends, self.alphas, _HEAD_BITS, 0
        while done < self.count:
            byte = bit >> 3
            # 35 bits: 1 for the kind, 2 for the size, then the length, and the value of a run
            word = from_bytes(padded[byte : byte + _WORD_BYTES], "big") >> (29 - (bit & 7)) & 0x7FFFFFFFF
            size = sizes[word >> 32 & 3]
            length = (word >> (32 - size) & ((1 << size) - 1)) + 1
            first_bit = bit + 3 + size
            bit = first_bit + (_VALUE_BITS if word >> 34 else _VALUE_BITS * length)
            if bit > last_bit or done + length > self.count:
                raise DataError(f"{self.place}: {_DAMAGED}")
            if word >> 34:
                ends.append((done + length) // _CHANNELS)
                alphas.append(word >> (24 - size) & 255)
            else:
                self._add_values(self._values(first_bit, bit), done)
            done += length

    def _values(self, start_bit: int, end_bit: int) -> bytes:
        whole = int.from_bytes(self.data[start_bit >> 3 : (end_bit + 7) >> 3], "big") >> (-end_bit % 8)
        count = (end_bit - start_bit) // _VALUE_BITS
        return (whole & ((1 << (end_bit - start_bit)) - 1)).to_bytes(count, "big")

    def _add_values(self, values: bytes, done: int) -> None:
        alphas = values[(_CHANNELS - 1 - done) % _CHANNELS :: _CHANNELS]
        self.ends.extend(range(done // _CHANNELS + 1, done // _CHANNELS + 1 + len(alphas)))
        self.alphas.extend(alphas)


def _run_lengths(crop: Crop, box: Box, size_hw: tuple[int, int]) -> NDArray[np.int64]:
    """Of the whole image along its rows, outside first."""
    height, width = size_hw
    changes = np.diff(crop.astype(np.int8), axis=1, prepend=0, append=0) if crop.size else np.zeros((0, 0))
    row, column = np.nonzero(changes)  # in each row starts and ends take turns
    edges = (box[1] + row) * width + box[0] + column
    return np.diff(edges, prepend=0, append=height * width)


def _packed(shorter: NDArray[np.int64], values: NDArray[np.int64], count: int) -> list[int]:
    """The bytes of runs, whose lengths less 1 are given."""
    which = (shorter >= 1 << 3).astype(np.int64) + (shorter >= 1 << 4) + (shorter >= 1 << 8)
    sizes = _SIZES[which]
    codes = ((4 + which) << sizes | shorter) << _VALUE_BITS | values
    head = (count << 5 | _VALUE_BITS - 1) << 16 | 0x237F
    codes, bits = np.append(head, codes), np.append(_HEAD_BITS, 3 + sizes + _VALUE_BITS)
    ends = np.cumsum(bits)
    shifts = np.repeat(ends, bits) - np.arange(ends[-1]) - 1
    return np.packbits(np.repeat(codes, bits) >> shifts & 1).tolist()
