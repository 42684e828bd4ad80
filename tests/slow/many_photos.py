"""As many small photographs as a test wants, none like another."""

import cv2
import numpy as np


def write_photos(folder, shapes, count, folders=10):
    """`count` noisy windows of 96 x 96 pixels of the scenes in `shapes`, dealt out to folders `0`, `1`, ..."""
    rng = np.random.default_rng(0)
    scenes = [cv2.imread(str(path)) for path in sorted((shapes / "val").glob("*.png"))]
    for number in range(count):
        noise = rng.integers(0, 12, (96, 96, 3), np.uint8)
        y, x = rng.integers(0, 64, 2)
        path = folder / f"{number % folders}" / f"{number:03d}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), cv2.add(scenes[number % len(scenes)][y : y + 96, x : x + 96], noise))
    return folder
