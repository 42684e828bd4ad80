"""The limit of pixels: kept in every shape, the wrapped resize where it is small enough, and one interpolation."""

import numpy as np
import pytest


@pytest.fixture
def limited_resize(small_shapes):
    """A function: shortest edges, limit -> the augmentation."""
    from detectron2.data import transforms

    from thingstuff.data.augment.max_pixels import MaxPixels

    def build(edges, max_pixels):
        return MaxPixels(transforms.ResizeShortestEdge(edges, 1333, "choice"), max_pixels)

    return build


def test_a_size_keeps_its_shape_up_to_rounding():
    from thingstuff.data.augment.max_pixels import limited

    assert limited(800, 1200, 240_000) == (400, 600)
    assert limited(1200, 800, 240_000) == (600, 400)
    assert limited(400, 600, 240_000) == (400, 600)


@pytest.mark.parametrize("max_pixels", [1, 2, 3, 10, 99, 1000, 54321])
def test_no_size_is_beyond_the_limit(max_pixels):
    from thingstuff.data.augment.max_pixels import limited

    rng = np.random.default_rng(0)
    sizes = [(1, 1), (1, 10**6), (10**6, 1), (3, 4000), *np.exp(rng.uniform(0, 8, (500, 2))).astype(int).tolist()]
    for height, width in sizes:
        new_height, new_width = limited(height, width, max_pixels)
        assert 1 <= new_height <= height
        assert 1 <= new_width <= width
        assert new_height * new_width <= max_pixels


def test_a_small_image_is_resized_as_without(limited_resize):
    image = np.zeros((60, 90, 3), np.uint8)
    augmentation = limited_resize((40, 50), 50 * 75)
    for seed in range(4):
        np.random.seed(seed)
        limited = augmentation.get_transform(image)
        np.random.seed(seed)
        assert vars(limited) == vars(augmentation.resize.get_transform(image))


def test_a_large_one_is_made_smaller_in_one_step(limited_resize):
    from PIL import Image

    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8)
    transform = limited_resize((400,), 600).get_transform(image)
    expected = np.asarray(Image.fromarray(image).resize((30, 20), Image.BILINEAR))
    assert (transform.apply_image(image) == expected).all()
    assert (transform.apply_coords(np.array([[90.0, 60.0]])) == [[30, 20]]).all()


def test_an_edge_of_0_keeps_the_size_up_to_the_limit(limited_resize):
    image = np.zeros((60, 90, 3), np.uint8)
    assert limited_resize((0,), 60 * 90).get_transform(image).apply_image(image).shape == (60, 90, 3)
    assert limited_resize((0,), 600).get_transform(image).apply_image(image).shape == (20, 30, 3)
