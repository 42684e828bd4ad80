"""Polygons that draw nothing, cannot be drawn, leave their image or cross themselves."""

import numpy as np
import pytest
from planted import changed, found, rectangle, sound_splits, the_only

from thingstuff.data.checks.check import Checked
from thingstuff.data.checks.clipping import clipped_polygon
from thingstuff.data.checks.crossings import LONGEST_RING, crossings_xy
from thingstuff.data.checks.polygons import POLYGONS
from thingstuff.structures import MaskCrops

NAN = float("nan")
PLACE = "train.json: annotations[1]"  # of image 0, 64 x 48 pixels; polygon x 30 to 60, y 20 to 40
GOOD = rectangle(30, 20, 60, 40)


@pytest.fixture
def splits(tmp_path):
    return sound_splits(tmp_path)


def planted(splits, *pieces):
    return {**splits, "train": changed(splits["train"], "annotations", 1, segmentation=list(pieces))}


def mended_pieces(splits):
    """The polygons of annotation 1 after mending; None if it was left out."""
    before = repr(splits["train"])
    mended = POLYGONS.mend(splits["train"])
    assert repr(splits["train"]) == before
    return next((a["segmentation"] for a in mended.annotations if a["id"] == 101), None)


@pytest.mark.parametrize("is_quick", [True, False])
def test_the_sound_set_has_none(splits, is_quick):
    assert found(POLYGONS, splits, is_quick) == []
    assert POLYGONS.mend(splits["train"]) == splits["train"]


@pytest.mark.parametrize("piece", [[], [1.0, 2.0, 3.0, 4.0], [1.0, 2, 3, 4, 5, 6, 7]])
def test_few_points(splits, piece):
    both = planted(splits, GOOD, piece)
    one = the_only(POLYGONS, both, "polygon-few-points", is_quick=True)
    assert one.place == PLACE and one.message.startswith(f"polygon 1 has {len(piece)} numbers, expected")
    assert mended_pieces(both) == [GOOD]
    assert mended_pieces(planted(splits, piece)) is None


@pytest.mark.parametrize("value", [NAN, float("inf"), None, "5", True, [1, 2], 10**400, 1e7, -1e300])
def test_not_finite(splits, value):
    piece = [*GOOD[:3], value, *GOOD[4:]]
    one = the_only(POLYGONS, planted(splits, GOOD, piece), "polygon-not-finite")
    assert one.place == PLACE and one.message.startswith("polygon 1 holds ")
    assert one.message.endswith(" as number 3, expected finite numbers within 1000000 pixels")
    assert repr(value)[:20] in one.message
    assert mended_pieces(planted(splits, GOOD, piece)) == [GOOD, piece]


@pytest.mark.parametrize("piece", [[5.0, 5, 9, 9, 7, 7], [5.0, 5] * 4, [3, 4, 30, 4, 12, 4, 3, 4]])
def test_zero_area(splits, piece):
    both = planted(splits, GOOD, piece)
    one = the_only(POLYGONS, both, "polygon-zero-area")
    assert one.place == PLACE and one.message.startswith("polygon 1 surrounds 0 px²")
    assert mended_pieces(both) == [GOOD]


def test_outside_is_clipped(splits):
    beyond = planted(splits, rectangle(30, 20, 70, 52.5))
    one = the_only(POLYGONS, beyond, "polygon-outside")
    assert one.place == PLACE
    assert one.message == "polygon 0 reaches 6 px beyond its image: x 30 to 70, y 20 to 52.5 in 64 x 48 pixels"
    [piece] = mended_pieces(beyond)
    assert sorted(zip(piece[0::2], piece[1::2], strict=True)) == [(30, 20), (30, 48), (64, 20), (64, 48)]
    assert mended_pieces(planted(splits, rectangle(70, 20, 80, 30))) is None


def test_a_pixel_beyond_the_image_is_no_matter(splits):
    assert found(POLYGONS, planted(splits, rectangle(-1, -1, 65, 49))) == []
    the_only(POLYGONS, planted(splits, rectangle(-1.01, -1, 65, 49)), "polygon-outside")


def test_an_image_without_size_has_no_outside(splits):
    truth = changed(planted(splits, rectangle(30, 20, 700, 40))["train"], "images", 0, width=None)
    assert found(POLYGONS, {"train": truth}) == []
    assert POLYGONS.mend(truth) == truth


def test_self_crossing(splits):
    bow_tie = [10.0, 10, 30, 30, 30, 10, 10, 30]
    one = the_only(POLYGONS, planted(splits, GOOD, bow_tie), "polygon-self-crossing")
    assert one.place == PLACE and one.message.startswith("polygon 1 crosses itself near x 20.0, y 20.0")
    assert mended_pieces(planted(splits, bow_tie)) == [bow_tie]


def test_segmentation_empty(splits):
    one = the_only(POLYGONS, planted(splits), "segmentation-empty")
    assert one.place == PLACE and "empty list" in one.message


def test_each_polygon_is_named(splits):
    findings = found(POLYGONS, planted(splits, [1.0, 2], GOOD, [NAN, *GOOD[1:]], [5.0] * 6, rectangle(0, 0, 99, 9)))
    assert [(one.code.name, one.message[:9]) for one in findings] == [
        ("polygon-few-points", "polygon 0"),
        ("polygon-not-finite", "polygon 2"),
        ("polygon-zero-area", "polygon 3"),
        ("polygon-outside", "polygon 4"),
    ]


def brute_force_crosses(ring):
    """Every pair of edges, by the signs of the four areas that their ends span."""
    ends = list(zip(ring, np.roll(ring, -1, axis=0), strict=True))

    def side(a, b, c):
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    return any(
        side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
        for n, (a, b) in enumerate(ends)
        for c, d in ends[:n]
    )


def test_crossings_equal_every_pair_tried():
    rng = np.random.default_rng(4)
    rings = []
    for number in range(300):
        angle = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 14)))
        ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) * rng.uniform(5, 9, (angle.size, 1))
        # whole numbers touch, repeat and run along each other; every third ring is shuffled and mostly crosses
        ring = np.round(ring) if number % 2 else ring
        rings.append(rng.permutation(ring) if number % 3 == 0 else ring)
    x, y = np.concatenate(rings).T
    places = crossings_xy(x, y, np.array([len(ring) for ring in rings]))
    crosses = np.isfinite(places[:, 0])
    assert crosses.tolist() == [brute_force_crosses(ring) for ring in rings]
    assert 50 < crosses.sum() < 250
    assert (np.abs(places[crosses]) < 9).all()


@pytest.mark.parametrize(
    "ring",
    [
        [(0, 0), (4, 0), (4, 4), (0, 4), (0, 0)],  # closed
        [(0, 0), (4, 0), (4, 0), (4, 4), (4, 4), (0, 4)],  # points twice
        [(0, 0), (4, 0), (2, 2), (4, 4), (0, 4), (2, 2)],  # touches itself at a corner
        [(0, 0), (6, 0), (6, 4), (3, 0), (0, 4)],  # a corner on an edge
        [(0, 0), (4, 0), (8, 0), (4, 0), (4, 4)],  # a spike along itself
    ],
)
def test_touching_is_not_crossing(ring):
    x, y = np.array(ring, float).T
    assert np.isnan(crossings_xy(x, y, np.array([len(ring)]))).all()


def test_long_rings(splits):
    angle = np.linspace(0, 2 * np.pi, LONGEST_RING - 1, endpoint=False)
    x, y = 100 * np.cos(angle), 100 * np.sin(angle)
    assert np.isnan(crossings_xy(x, y, np.array([x.size]))).all()
    y[[10, 5000]] = y[[5000, 10]]
    assert np.isfinite(crossings_xy(x, y, np.array([x.size]))).all()


def test_clipping_draws_the_same_pixels():
    """Along pixel edges and diagonals both outlines are exact, so the pixels must be."""
    rng = np.random.default_rng(7)
    for _ in range(50):
        corners = rng.integers(-15, 35, (rng.integers(3, 8), 1, 2))
        steps = np.concatenate([corners, np.stack([np.roll(corners[:, 0, 0], -1), corners[:, 0, 1]], 1)[:, None]], 1)
        polygon = steps.reshape(-1).astype(float).tolist()  # by turns along x and along y
        clipped = clipped_polygon(polygon, 20, 16)
        assert all(0 <= x <= 20 for x in clipped[0::2]) and all(0 <= y <= 16 for y in clipped[1::2])
        drawn = MaskCrops.from_polygons([[polygon], [clipped] if clipped else []], 16, 20).to_bitmaps()
        np.testing.assert_array_equal(drawn[0], drawn[1])


def test_measures_are_the_formulas(splits):
    polygons = Checked(planted(splits, [0.0, 0, 30, 0, 0, 40], GOOD)).shapes["train"].polygons
    mine = np.flatnonzero(polygons.annotations == 1)
    assert polygons.numbers[mine].tolist() == [0, 1]
    assert polygons.areas_px[mine].tolist() == [30 * 40 / 2, 30 * 20]
    assert polygons.outlines_px[mine].tolist() == [30 + 40 + 50, 2 * (30 + 20)]
    assert polygons.boxes_xyxy[mine].tolist() == [[0, 0, 30, 40], [30, 20, 60, 40]]
