"""Overlays: the fill is the stated formula pixel by pixel, each view shows what it names, and nothing is modified."""

import time
from dataclasses import replace

import numpy as np
import pytest

from thingstuff.errors import ConfigError, DataError, UserError
from thingstuff.report.colors import color_of_id, instance_colors
from thingstuff.report.overlay import Layers, OverlayStyle, draw_overlay, shorten, text_alpha
from thingstuff.report.views import VIEWS, regions_of
from thingstuff.structures.categories import Categories, Category
from thingstuff.structures.detections import Detections
from thingstuff.structures.mask_crops import MaskCrops
from thingstuff.structures.panoptic_map import PanopticMap

FILL_ONLY = OverlayStyle(outlines=False, boxes=False, labels=False, scale=1)
PERSON, TABLE, SKY, GRASS = 7, 3, 40, 21
CATEGORIES = Categories(
    (
        Category(PERSON, "person", True, (220, 20, 60)),
        Category(SKY, "sky", False, (70, 130, 180)),
        Category(TABLE, "table", True, (106, 0, 228)),
        Category(GRASS, "grass", False, (107, 142, 35)),
    )
)
SKY_LABEL, GRASS_LABEL, VOID = 1, 2, 65535


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def detections(boxes: list, ids: list[int], height: int, width: int, crops: list | None = None) -> Detections:
    """Rectangular instances, unless the crops say otherwise."""
    boxes_xyxy = np.array(boxes, np.int32).reshape(-1, 4)
    crops = crops or [np.ones((y1 - y0, x1 - x0), np.uint8) for x0, y0, x1, y1 in boxes]
    masks = MaskCrops(tuple(crops), boxes_xyxy, height, width)
    scores = np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)
    return Detections(masks, boxes_xyxy.astype(np.float32), scores, np.array(ids, np.int64))


def stuff_map(height: int, width: int) -> np.ndarray:
    labels = np.full((height, width), GRASS_LABEL, np.uint16)
    labels[: height // 2] = SKY_LABEL
    return labels


def panoptic(height: int, width: int) -> PanopticMap:
    ids = np.full((height, width), 5, np.uint32)
    ids[: height // 2] = 900_000
    ids[2:20, 4:14], ids[2:20, 14:24], ids[-1] = 31, 32, 0
    return PanopticMap.from_labels(ids, {900_000: SKY, 5: GRASS, 31: PERSON, 32: PERSON}, CATEGORIES, scores={31: 0.8})


@pytest.fixture
def layers() -> Layers:
    height, width = 60, 80
    boxes = [[4, 2, 24, 22], [14, 8, 40, 40], [50, 30, 80, 60]]
    found = detections(boxes, [PERSON, PERSON, TABLE], height, width)
    return Layers(noise(height, width), CATEGORIES, found, stuff_map(height, width), panoptic(height, width))


def blend(image: np.ndarray, canvas: np.ndarray, weights: tuple[float, float]) -> np.ndarray:
    return np.clip(np.rint(image * weights[0] + canvas * weights[1]), 0, 255).astype(np.uint8)


def bgr(category_id: int) -> tuple[int, ...]:
    return CATEGORIES.by_id(category_id).color[::-1]


def test_instance_fill_is_image_plus_half_the_colour(layers):
    canvas = np.zeros((60, 80, 3))
    colors = instance_colors(layers.detections.boxes_xyxy)
    for number in (2, 1, 0):  # 30 x 30, 26 x 32 and 20 x 20 pixels: the smallest comes last, on top
        x0, y0, x1, y1 = layers.detections.boxes_xyxy[number].astype(int)
        canvas[y0:y1, x0:x1] = colors[number]
    np.testing.assert_array_equal(
        draw_overlay(layers, "instance", FILL_ONLY), blend(layers.image_bgr, canvas, (1, 0.5))
    )


def test_semantic_fill_is_one_colour_a_class(layers):
    canvas = np.zeros((60, 80, 3))
    canvas[:30], canvas[30:] = bgr(SKY), bgr(GRASS)
    canvas[2:22, 4:24] = canvas[8:40, 14:40] = bgr(PERSON)
    canvas[30:60, 50:80] = bgr(TABLE)
    style = replace(FILL_ONLY, image_weight=0.25, color_weight=0.75)
    np.testing.assert_array_equal(
        draw_overlay(layers, "semantic", style), blend(layers.image_bgr, canvas, (0.25, 0.75))
    )


def test_semantic_view_of_a_panoptic_map_alone(layers):
    alone = Layers(layers.image_bgr, CATEGORIES, panoptic=layers.panoptic)
    assert sorted(region.label for region in regions_of(alone, "semantic")) == ["grass", "person", "sky"]


def test_two_persons_are_one_blob_in_semantic_and_two_individuals_elsewhere(layers):
    counts = {view: sum("person" in region.label for region in regions_of(layers, view)) for view in VIEWS}
    assert counts == {"box": 2, "semantic": 1, "instance": 2, "panoptic": 2}


def test_panoptic_gives_stuff_its_class_colour_and_each_thing_its_own(layers):
    style = replace(FILL_ONLY, image_weight=0.0, color_weight=1.0)
    picture = draw_overlay(layers, "panoptic", style)
    assert tuple(picture[1, 1]) == bgr(SKY)
    assert tuple(picture[50, 50]) == bgr(GRASS)
    assert len({tuple(picture[10, 8]), tuple(picture[10, 18]), bgr(SKY), bgr(GRASS), bgr(PERSON)}) == 5


def test_void_and_uncovered_pixels_keep_the_image(layers):
    picture = draw_overlay(layers, "panoptic", FILL_ONLY)
    np.testing.assert_array_equal(picture[-1], layers.image_bgr[-1])
    unknown = Layers(layers.image_bgr, CATEGORIES, stuff_map=np.full((60, 80), VOID, np.uint16))
    np.testing.assert_array_equal(draw_overlay(unknown, "semantic", FILL_ONLY), layers.image_bgr)


def test_every_view_differs_from_every_other(layers):
    pictures = [draw_overlay(layers, view).tobytes() for view in VIEWS]
    assert len(set(pictures)) == len(VIEWS) == 4


def test_box_view_shows_no_masks(layers):
    np.testing.assert_array_equal(draw_overlay(layers, "box", FILL_ONLY), layers.image_bgr)
    without = Layers(layers.image_bgr, CATEGORIES, replace(layers.detections, masks=None, height=60, width=80))
    np.testing.assert_array_equal(draw_overlay(without, "box"), draw_overlay(layers, "box"))


def test_box_and_instance_view_colour_an_instance_alike(layers):
    colors = {view: {(r.label, r.color_bgr) for r in regions_of(layers, view)} for view in ("box", "instance")}
    assert colors["box"] == colors["instance"]


@pytest.mark.parametrize("view", VIEWS)
def test_the_input_is_not_touched(layers, view):
    image, stuff, ids = layers.image_bgr.copy(), layers.stuff_map.copy(), layers.panoptic.ids.copy()
    crops = [crop.copy() for crop in layers.detections.masks.crops]
    draw_overlay(layers, view)
    np.testing.assert_array_equal(layers.image_bgr, image)
    np.testing.assert_array_equal(layers.stuff_map, stuff)
    np.testing.assert_array_equal(layers.panoptic.ids, ids)
    assert all((now == before).all() for now, before in zip(layers.detections.masks.crops, crops, strict=True))


@pytest.mark.parametrize("view", VIEWS)
def test_the_same_input_gives_the_same_picture(layers, view):
    np.testing.assert_array_equal(draw_overlay(layers, view), draw_overlay(layers, view))


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_found_leaves_the_image(view):
    image = noise(500, 600)
    nothing = Layers(
        image,
        CATEGORIES,
        detections([], [], 500, 600),
        np.zeros((500, 600), np.uint16),
        PanopticMap(np.zeros((500, 600), np.uint32), ()),
    )
    picture = draw_overlay(nothing, view)
    np.testing.assert_array_equal(picture, image)
    assert picture is not image


@pytest.mark.parametrize("box", [[5, 5, 5, 5], [5, 5, 9, 5], [80, 60, 80, 60]])
def test_a_mask_without_pixels_is_not_drawn(box):
    found = Layers(noise(60, 80), CATEGORIES, detections([box], [PERSON], 60, 80))
    np.testing.assert_array_equal(draw_overlay(found, "semantic", replace(FILL_ONLY, labels=True)), found.image_bgr)
    assert all(region.mask is None for region in regions_of(found, "instance"))


def test_a_box_outside_the_image_is_not_drawn():
    found = detections([[0, 0, 0, 0]], [PERSON], 60, 80)
    outside = replace(found, boxes_xyxy=np.array([[90, 70, 120, 99]], np.float32))
    for view in ("box", "instance"):
        assert regions_of(Layers(noise(60, 80), CATEGORIES, outside), view) == []


def test_a_mask_of_one_pixel_is_filled_and_outlined():
    found = Layers(
        np.zeros((500, 500, 3), np.uint8), CATEGORIES, detections([[250, 251, 251, 252]], [PERSON], 500, 500)
    )
    filled = draw_overlay(found, "instance", FILL_ONLY)
    assert np.argwhere(filled.any(axis=2)).tolist() == [[251, 250]]
    outlined = draw_overlay(found, "instance", replace(FILL_ONLY, outlines=True))
    np.testing.assert_array_equal(outlined[251, 250], instance_colors(np.array([[250, 251, 251, 252]]))[0])


def test_an_outline_follows_the_mask_and_its_hole_but_not_the_image_border():
    crop = np.ones((300, 300), np.uint8)
    crop[100:200, 100:200] = 0
    found = Layers(
        np.zeros((500, 500, 3), np.uint8), CATEGORIES, detections([[0, 0, 300, 300]], [PERSON], 500, 500, [crop])
    )
    style = replace(FILL_ONLY, outlines=True, color_weight=0.0)
    outlined = draw_overlay(found, "instance", style).any(axis=2)
    assert outlined[150, 299] and outlined[299, 150]
    assert outlined[150, 99] or outlined[150, 100]
    assert not outlined[0, 50] and not outlined[50, 0] and not outlined[50, 50]


@pytest.mark.parametrize("box", [[0, 0, 30, 30], [470, 0, 500, 30], [0, 470, 30, 500], [470, 470, 500, 500]])
def test_a_label_at_the_border_is_whole(box):
    """Its background is one colour and is as large as in the middle of the image."""
    style = replace(FILL_ONLY, labels=True, color_weight=0.0)
    areas = []
    for place in (box, [235, 235, 265, 265]):
        found = Layers(np.zeros((500, 500, 3), np.uint8), CATEGORIES, detections([place], [PERSON], 500, 500))
        areas.append(
            np.count_nonzero((draw_overlay(found, "instance", style) == instance_colors([place])[0]).all(axis=2))
        )
    assert areas[0] == areas[1] > 100


def test_labels_do_not_cover_each_other():
    boxes = [[200, 200, 300, 300]] * 4
    found = Layers(np.zeros((500, 500, 3), np.uint8), CATEGORIES, detections(boxes, [PERSON] * 4, 500, 500))
    picture = draw_overlay(found, "box", replace(FILL_ONLY, labels=True))
    areas = [np.count_nonzero((picture == color).all(axis=2)) for color in instance_colors(np.array(boxes))]
    assert min(areas) > 0.9 * max(areas) > 0


def test_a_crowd_is_not_buried_under_labels():
    boxes = [[x, y, x + 20, y + 20] for x in range(0, 500, 20) for y in range(0, 500, 20)]
    found = Layers(np.zeros((500, 500, 3), np.uint8), CATEGORIES, detections(boxes, [PERSON] * 625, 500, 500))
    labelled = draw_overlay(found, "box", replace(FILL_ONLY, labels=True)).any(axis=2)
    assert 0.05 < labelled.mean() < 0.15


def test_a_label_wider_than_the_image_is_shortened():
    long = Categories((Category(1, "an extraordinarily long name " * 9, True),))
    found = Layers(noise(500, 420), long, detections([[10, 10, 99, 99]], [1], 500, 420))
    assert draw_overlay(found, "instance").shape == (500, 420, 3)
    assert text_alpha(shorten(long.all[0].name, 200, 14), 14).shape[1] <= 200


@pytest.mark.parametrize(
    ("size", "expected"), [((160, 160), (480, 480)), ((160, 240), (480, 720)), ((400, 900), (400, 900))]
)
def test_small_images_are_enlarged_by_a_whole_factor(size, expected):
    found = Layers(noise(*size), CATEGORIES, detections([[3, 4, 50, 60]], [PERSON], *size))
    assert draw_overlay(found, "instance").shape[:2] == expected


def test_enlarging_repeats_pixels():
    found = Layers(noise(40, 50), CATEGORIES, detections([[3, 4, 20, 30]], [PERSON], 40, 50))
    plain = draw_overlay(found, "instance", FILL_ONLY)
    np.testing.assert_array_equal(
        draw_overlay(found, "instance", replace(FILL_ONLY, scale=3)), plain.repeat(3, axis=0).repeat(3, axis=1)
    )


def test_letters_that_ascii_lacks_are_drawn():
    for name in ("Bäume", "дерево", "δέντρο"):
        assert text_alpha(name, 20).any()
    assert text_alpha("日\n本", 20).any()


@pytest.mark.parametrize(("width_px", "expected"), [(1000, "sky"), (0, "")])
def test_shortening_keeps_what_fits(width_px, expected):
    assert shorten("sky", width_px, 20) == expected


def test_an_extreme_strip_is_not_enlarged_beyond_measure():
    strip = Layers(noise(2, 3000), CATEGORIES, detections([[0, 0, 5, 2]], [PERSON], 2, 3000))
    assert draw_overlay(strip, "instance").shape == (2, 3000, 3)


def test_hundreds_of_instances_take_well_under_a_second():
    rng = np.random.default_rng(0)
    corners = np.stack([rng.integers(0, 1400, 300), rng.integers(0, 900, 300)], axis=1)
    boxes = np.concatenate([corners, corners + rng.integers(10, 100, (300, 2))], axis=1).tolist()
    found = Layers(noise(1000, 1500), CATEGORIES, detections(boxes, [PERSON] * 300, 1000, 1500))
    for view in ("box", "semantic", "instance"):
        draw_overlay(found, view)
        start = time.perf_counter()
        draw_overlay(found, view)
        assert time.perf_counter() - start < 1


@pytest.mark.parametrize("view", ["boxes", "", "Instance"])
def test_an_unknown_view_is_named_with_the_known_ones(layers, view):
    with pytest.raises(UserError, match="box, semantic, instance, panoptic"):
        draw_overlay(layers, view)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_without_its_data_says_what_it_needs(view):
    with pytest.raises(UserError, match=f"the {view} view needs"):
        draw_overlay(Layers(noise(60, 80), CATEGORIES), view)


def test_masks_are_asked_for_where_only_boxes_are_known(layers):
    boxes = Layers(layers.image_bgr, CATEGORIES, replace(layers.detections, masks=None, height=60, width=80))
    for view in ("instance", "semantic"):
        with pytest.raises(UserError, match="masks"):
            draw_overlay(boxes, view)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.float32), np.zeros((4, 5, 4), np.uint8), "street.jpg"],
)
def test_other_than_colour_images_are_refused(image):
    with pytest.raises(DataError, match="H x W x 3 uint8"):
        Layers(image, CATEGORIES)


def test_an_image_without_pixels_is_refused():
    with pytest.raises(DataError, match="pixels"):
        Layers(np.zeros((0, 5, 3), np.uint8), CATEGORIES)


def test_layers_of_another_size_are_refused(layers):
    for name in ("detections", "stuff_map", "panoptic"):
        with pytest.raises(DataError, match="expected"):
            Layers(noise(61, 80), CATEGORIES, **{name: getattr(layers, name)})


def test_unknown_categories_are_refused():
    with pytest.raises(DataError, match="999"):
        Layers(noise(60, 80), CATEGORIES, detections([[0, 0, 5, 5]], [999], 60, 80))


@pytest.mark.parametrize("wrong", [{"scale": 0}, {"scale": 1.5}, {"line_px": 0}, {"font_px": 1}])
def test_impossible_styles_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        OverlayStyle(**wrong)


def test_a_font_that_cannot_be_read_is_named(layers, tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.ttf"):
        draw_overlay(layers, "box", OverlayStyle(font=tmp_path / "nothing.ttf"))


def followed(layers: Layers, ids: tuple[int, ...]) -> Layers:
    return replace(layers, instance_ids=ids)


@pytest.mark.parametrize("view", ["box", "instance"])
def test_a_followed_instance_has_the_colour_of_its_id_and_shows_it(layers, view):
    regions = {r.label: r.color_bgr for r in regions_of(followed(layers, (9, 2, 60)), view)}
    assert regions == {
        "#9 person 0.90": color_of_id(9),
        "#2 person 0.70": color_of_id(2),
        "#60 table 0.50": color_of_id(60),
    }


def test_a_followed_instance_keeps_its_colour_where_its_boxes_and_neighbours_change(layers):
    alone = Layers(layers.image_bgr, CATEGORIES, detections([[50, 30, 80, 60]], [PERSON], 60, 80), instance_ids=(2,))
    colors = {r.label: r.color_bgr for r in regions_of(followed(layers, (9, 2, 60)), "instance")}
    assert regions_of(alone, "instance")[0].color_bgr == colors["#2 person 0.70"]


def test_the_panoptic_view_takes_segment_ids_for_instance_ids(layers):
    regions = {r.label: r.color_bgr for r in regions_of(followed(layers, (1, 2, 3)), "panoptic")}
    assert regions == {
        "#31 person 0.80": color_of_id(31),
        "#32 person": color_of_id(32),
        "sky": bgr(SKY),
        "grass": bgr(GRASS),
    }


def test_ids_do_not_change_the_semantic_view(layers):
    plain, with_ids = draw_overlay(layers, "semantic"), draw_overlay(followed(layers, (1, 2, 3)), "semantic")
    np.testing.assert_array_equal(plain, with_ids)


def test_ids_without_scores(layers):
    regions = regions_of(replace(layers, instance_ids=(1, 2, 3), show_scores=False), "box")
    assert sorted(r.label for r in regions) == ["#1 person", "#2 person", "#3 table"]


def test_no_instances_to_follow(layers):
    nothing = Layers(layers.image_bgr, CATEGORIES, detections([], [], 60, 80), instance_ids=())
    assert regions_of(nothing, "instance") == []
    assert (
        len(regions_of(Layers(layers.image_bgr, CATEGORIES, panoptic=layers.panoptic, instance_ids=()), "panoptic"))
        == 4
    )


@pytest.mark.parametrize("ids", [(), (1, 2), (1, 2, 3, 4)])
def test_an_id_is_needed_for_each_detection(layers, ids):
    with pytest.raises(DataError, match=f"expected 3 instance ids, one a detection, got {len(ids)}"):
        followed(layers, ids)


def test_an_instance_has_one_colour_in_all_views():
    """Also where a detection has no segment, a segment no detection, and a stuff colour is to be kept clear of."""

    ids = np.zeros((40, 60), np.uint32)
    ids[:, :] = 9
    ids[5:15, 5:15], ids[10:30, 30:50] = 1, 2
    masks = MaskCrops.from_bitmaps(np.stack([ids == 1, ids == 2, ids == 2]))
    scores = np.array([0.9, 0.8, 0.6], np.float32)
    detections = Detections(masks, masks.boxes_xyxy.astype(np.float32), scores, np.array([1, 1, 2], np.int64))
    kept = {1: float(scores[1]), 2: 0.5}
    categories = Categories((Category(1, "cat"), Category(2, "dog"), Category(3, "sky", False)))
    panoptic = PanopticMap.from_labels(ids, {1: 1, 2: 2, 9: 3}, categories, scores=kept)
    layers = Layers(np.zeros((40, 60, 3), np.uint8), categories, detections, panoptic=panoptic)
    colors = {
        view: {r.label: r.color_bgr for r in regions_of(layers, view)} for view in ("box", "instance", "panoptic")
    }
    assert colors["box"] == colors["instance"]
    assert colors["panoptic"]["cat 0.80"] == colors["instance"]["cat 0.80"]
    assert colors["panoptic"]["dog 0.50"] not in colors["instance"].values()
    assert len(set(colors["instance"].values())) == 3
