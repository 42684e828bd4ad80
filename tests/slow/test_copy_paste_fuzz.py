"""Ten thousand random pastes: pixels, masks, boxes, stuff labels and panoptic maps agree in every one."""

import pytest
from copy_paste_cases import check_cases

pytestmark = pytest.mark.slow


def test_ten_thousand_random_pastes():
    assert check_cases(10_000, seed=7) > 4_000
