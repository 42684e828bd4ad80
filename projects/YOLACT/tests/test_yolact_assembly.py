"""Masks out of prototypes: sigmoid(P C^T), cropped by the box and cut at the threshold."""

import pytest
import torch
from yolact.assembly import assemble, inside_boxes, masks_in_image


def test_the_linear_combination_written_out():
    """Two prototypes of 2 x 2 pixels; one instance adds them, the other takes the second from the first."""
    prototypes = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[0.5, 0.0], [1.0, 5.0]]])
    logits = assemble(prototypes, torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
    assert logits.tolist() == [[[1.5, 2.0], [4.0, 9.0]], [[0.5, 2.0], [2.0, -1.0]]]


def test_as_the_matrix_product_of_the_paper():
    """P is h w x k there, C is n x k."""
    torch.manual_seed(0)
    prototypes, coefficients = torch.rand(5, 3, 4), torch.rand(2, 5) * 2 - 1
    product = prototypes.permute(1, 2, 0).reshape(12, 5) @ coefficients.T
    torch.testing.assert_close(assemble(prototypes, coefficients), product.T.reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("box", "columns", "rows"),
    [
        ([1.0, 0.0, 3.0, 2.0], (1, 3), (0, 2)),
        ([1.2, 0.9, 2.1, 1.1], (1, 3), (0, 2)),  # every pixel that it touches
        ([0.99999, 0.0, 3.00001, 2.0], (1, 3), (0, 2)),  # rounding is no touch
        ([2.25, 2.25, 2.5, 2.5], (2, 3), (2, 3)),  # smaller than a pixel
        ([-3.0, 1.0, 9.0, 2.0], (0, 4), (1, 2)),
        ([2.0, 2.0, 2.0, 2.0], (2, 2), (2, 2)),  # empty
    ],
)
def test_inside_a_box(box, columns, rows):
    expected = torch.zeros(1, 3, 4, dtype=torch.bool)
    expected[0, rows[0] : rows[1], columns[0] : columns[1]] = True
    assert torch.equal(inside_boxes(torch.tensor([box]), 3, 4), expected)


def masks_of(logits, boxes, padded, image, output, threshold=0.5):
    sizes = {"padded_size": padded, "image_size": image, "output_size": output}
    return masks_in_image(torch.as_tensor(logits), torch.tensor(boxes), **sizes, threshold=threshold)


def test_cropped_by_the_box_and_cut_at_the_threshold():
    """sigmoid(0) is 0.5, which is not above 0.5."""
    logits = [[[2.0, 0.0, -1.0], [0.1, 2.0, 2.0]]]
    assert masks_of(logits, [[0.0, 0.0, 3.0, 2.0]], (2, 3), (2, 3), (2, 3)).int().tolist() == [[[1, 0, 0], [1, 1, 1]]]
    assert masks_of(logits, [[0.0, 0.0, 2.0, 2.0]], (2, 3), (2, 3), (2, 3)).int().tolist() == [[[1, 0, 0], [1, 1, 0]]]
    assert masks_of(logits, [[0.0, 1.0, 3.0, 2.0]], (2, 3), (2, 3), (2, 3), 0.6).int().tolist() == [
        [[0, 0, 0], [0, 1, 1]]
    ]


def test_padding_is_cut_off_before_a_mask_is_enlarged():
    """Prototypes of a padded image of 8 x 16, in half its size; the image is 8 x 8, and its right half is on."""
    logits = torch.full((1, 4, 8), -20.0)
    logits[:, :, 2:4] = 20
    whole = masks_of(logits, [[0.0, 0.0, 16.0, 16.0]], (8, 16), (8, 8), (16, 16))
    assert whole.shape == (1, 16, 16)
    assert not whole[0, :, :7].any()
    assert whole[0, :, 9:14].all()


def test_many_masks_are_made_in_parts(monkeypatch):
    torch.manual_seed(1)
    logits, boxes = torch.randn(7, 4, 6), torch.tensor([[0.0, 0.0, 9.0, 7.0]]).repeat(7, 1).tolist()
    at_once = masks_of(logits, boxes, (8, 12), (8, 12), (8, 12))
    monkeypatch.setattr("yolact.assembly._PIXELS_AT_ONCE", 8 * 12 * 2)
    assert torch.equal(masks_of(logits, boxes, (8, 12), (8, 12), (8, 12)), at_once)


def test_no_masks():
    sizes = {"padded_size": (8, 12), "image_size": (8, 12), "output_size": (5, 6)}
    assert masks_in_image(torch.zeros(0, 4, 6), torch.zeros(0, 4), **sizes, threshold=0.5).shape == (0, 5, 6)
