"""Image files: damaged, of another size, turned by EXIF, extreme, or of a kind that the reader changes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image
from planted import REMOVED, changed, found, rectangle, sound_splits, the_only

from thingstuff.data.checks.image_facts import in_threads, read_facts
from thingstuff.data.checks.image_files import IMAGE_FILES
from thingstuff.data.images import read_image_bgr

WIDTH, HEIGHT = 40, 64  # of train_1


@pytest.fixture
def splits(tmp_path):
    return sound_splits(tmp_path)


def noise(height=HEIGHT, width=WIDTH, channels=3):
    return np.random.default_rng(5).integers(0, 256, (height, width, channels), np.uint8)


def with_file(splits, image, name="other.jpg", **options):
    """The split `train` with another file for its second image."""
    image.save(splits["train"].image_root / name, **options)
    return {**splits, "train": changed(splits["train"], "images", 1, file_name=name)}


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def test_a_sound_data_set_has_none(splits):
    assert found(IMAGE_FILES, splits) == []


@pytest.mark.parametrize("length", [0, 10, 700, -20])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_unreadable_also_at_its_end(splits, suffix, length):
    splits = with_file(splits, Image.fromarray(noise()), f"cut.{suffix}")
    path = splits["train"].image_root / f"cut.{suffix}"
    path.write_bytes(path.read_bytes()[:length])
    finding = the_only(IMAGE_FILES, splits, "image-unreadable")
    assert (finding.split, finding.place) == ("train", "train.json: images[1]")
    assert str(path) in finding.message


def test_a_file_that_is_not_there_is_left_to_the_names(splits, tmp_path):
    (tmp_path / "train/train_1.png").unlink()
    (tmp_path / "val/val_1.png").unlink()
    (tmp_path / "val/val_1.png").symlink_to(tmp_path / "nowhere.png")
    assert found(IMAGE_FILES, splits) == []


def test_a_header_that_announces_too_much_is_not_unpacked(splits, tmp_path):
    path = tmp_path / "train/train_1.png"
    data = bytearray(path.read_bytes())
    data[16:24] = (2**20).to_bytes(4, "big") * 2
    path.write_bytes(bytes(data))
    finding = the_only(IMAGE_FILES, splits, "image-unreadable")
    assert str(path) in finding.message


def test_other_size(splits):
    train = changed(splits["train"], "images", 1, width=WIDTH + 1)
    finding = the_only(IMAGE_FILES, {**splits, "train": train}, "image-size")
    assert finding.place == "train.json: images[1]"
    assert finding.message == "the record says 41 x 64 (width x height), the file has 40 x 64"


def test_exchanged_size(splits):
    train = changed(splits["train"], "images", 1, width=HEIGHT, height=WIDTH)
    finding = the_only(IMAGE_FILES, {**splits, "train": train}, "image-size")
    assert finding.message.endswith("the file has 40 x 64: width and height are exchanged")


@pytest.mark.parametrize("width", [REMOVED, None, "40", 40.0, True])
def test_a_size_that_is_not_stated_is_left_to_another_check(splits, width):
    assert found(IMAGE_FILES, {**splits, "train": changed(splits["train"], "images", 1, width=width)}) == []


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_exif(splits, suffix, orientation):
    """The image is stored so that it has the stated size once it is turned."""
    shape = (WIDTH, HEIGHT) if orientation >= 5 else (HEIGHT, WIDTH)
    splits = with_file(splits, Image.fromarray(noise(*shape)), f"turned.{suffix}", exif=exif(orientation))
    finding = the_only(IMAGE_FILES, splits, "image-exif")
    assert f"its EXIF orientation is {orientation}: it is read " in finding.message
    assert f"as {WIDTH} x {HEIGHT} pixels" in finding.message


def test_exif_1_is_nothing(splits):
    assert found(IMAGE_FILES, with_file(splits, Image.fromarray(noise()), exif=exif(1))) == []


def test_a_size_from_before_the_turn_is_named_and_not_mended(splits):
    turned = with_file(splits, Image.fromarray(noise()), exif=exif(6))
    size, tag = found(IMAGE_FILES, turned)
    assert (size.code.name, tag.code.name) == ("image-size", "image-exif")
    assert size.message.endswith("turned by its EXIF orientation 6: the record has the size before that")
    assert IMAGE_FILES.mend(turned["train"]) is turned["train"]


@pytest.mark.parametrize(
    ("size_hw", "reason"),
    [
        ((15, 40), "40 x 15 pixels (width x height): a side below 16"),
        ((20, 201), "more than 10 times as long as wide"),
        ((8, 81), "a side below 16 and more than 10 times as long as wide"),
    ],
)
def test_extreme(splits, size_hw, reason):
    splits = with_file(splits, Image.fromarray(noise(*size_hw)), "extreme.png")
    train = changed(splits["train"], "images", 1, height=size_hw[0], width=size_hw[1])
    assert reason in the_only(IMAGE_FILES, {**splits, "train": train}, "image-extreme").message


def test_sizes_at_the_bound_are_not_extreme(splits):
    splits = with_file(splits, Image.fromarray(noise(16, 160)), "long.png")
    assert found(IMAGE_FILES, {**splits, "train": changed(splits["train"], "images", 1, height=16, width=160)}) == []


def test_a_very_large_image_is_not_unpacked(splits, monkeypatch):
    monkeypatch.setattr("thingstuff.data.checks.image_facts.MOST_PX", 5000)
    monkeypatch.setattr("thingstuff.data.checks.image_files.MOST_PX", 5000)
    splits = with_file(splits, Image.fromarray(noise(80, 80)), "large.png")
    opened = []
    monkeypatch.setattr(
        "thingstuff.data.checks.image_facts.read_image_bgr", lambda path: opened.append(path.name) or noise()
    )
    train = changed(splits["train"], "images", 1, height=80, width=80)
    extreme = [f for f in found(IMAGE_FILES, {"train": train}) if f.place == "train.json: images[1]"]
    assert [f.code.name for f in extreme] == ["image-extreme"]
    assert opened == ["train_0.png", "train_2.png"]


def frames(count):
    return [Image.fromarray(noise()[..., n % 3]) for n in range(count)]


@pytest.mark.parametrize(
    ("image", "name", "options", "message"),
    [
        (Image.fromarray(noise().astype(np.uint16)[..., 0] * 257), "a.png", {}, "16 bit a channel"),
        (Image.fromarray(noise().astype(np.uint16)[..., 0] * 257), "a.tif", {}, "16 bit a channel"),
        (Image.fromarray(noise(channels=4)), "a.png", {}, "some of it is transparent"),
        (Image.fromarray(noise()[..., 0]).convert("P"), "a.png", {"transparency": 7}, "some of it is transparent"),
        (Image.fromarray(noise()).convert("CMYK"), "a.jpg", {}, "CMYK"),
        (
            frames(3)[0],
            "a.gif",
            {"save_all": True, "append_images": frames(3)[1:]},
            "it has 3 frames, of which the first",
        ),
        (
            frames(2)[0],
            "a.tif",
            {"save_all": True, "append_images": frames(2)[1:]},
            "it has 2 frames, of which the first",
        ),
    ],
    ids=["png16", "tif16", "alpha", "palette", "cmyk", "gif", "tif pages"],
)
def test_kinds(splits, image, name, options, message):
    assert message in the_only(IMAGE_FILES, with_file(splits, image, name, **options), "image-kind").message


def test_16_bit_rgb(splits):
    path = splits["train"].image_root / "deep.png"
    cv2.imwrite(str(path), noise().astype(np.uint16) * 257)
    splits = {**splits, "train": changed(splits["train"], "images", 1, file_name="deep.png")}
    assert "16 bit a channel" in the_only(IMAGE_FILES, splits, "image-kind").message


def test_an_opaque_alpha_channel_and_a_palette_lose_nothing(splits):
    opaque = np.dstack([noise(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    assert found(IMAGE_FILES, with_file(splits, Image.fromarray(opaque), "a.png")) == []
    assert found(IMAGE_FILES, with_file(splits, Image.fromarray(noise()).convert("P"), "b.png")) == []


# ---- mending -----------------------------------------------------------------------------------------------------


def test_the_size_of_the_file_is_taken(splits):
    """The annotations of the second image are up to 38 x 60 px, one an RLE of the file's size."""
    wrong = changed(splits["train"], "images", 1, width=WIDTH + 9)
    mended = IMAGE_FILES.mend(wrong)
    assert mended.images == splits["train"].images
    assert mended.annotations is wrong.annotations
    assert mended.notes == ("train.json: 1 images have the sizes of their files now",)
    assert found(IMAGE_FILES, {**splits, "train": mended}) == []
    assert wrong.images[1]["width"] == WIDTH + 9
    assert IMAGE_FILES.mend(mended) is mended


@pytest.mark.parametrize(
    "values",
    [
        {"bbox": [2.0, 2.0, WIDTH - 0.5, 5.0]},
        {"segmentation": [rectangle(1, 1, WIDTH + 2, 5)]},
        {"segmentation": {"size": [HEIGHT, WIDTH + 9], "counts": [HEIGHT * (WIDTH + 9)]}},
    ],
    ids=["box", "polygon", "rle"],
)
def test_the_size_stays_where_an_annotation_would_lie_outside(splits, values):
    wrong = changed(splits["train"], "images", 1, width=WIDTH + 9)
    annotation = next(n for n, note in enumerate(wrong.annotations) if note["image_id"] == wrong.images[1]["id"])
    wrong = changed(wrong, "annotations", annotation, **values)
    assert IMAGE_FILES.mend(wrong) is wrong


def test_without_annotations_every_size_is_taken(splits):
    wrong = replace(changed(splits["train"], "images", 1, width=7), annotations=None)
    assert IMAGE_FILES.mend(wrong).images == splits["train"].images


# ---- facts -------------------------------------------------------------------------------------------------------


def test_facts_are_of_the_image_as_training_reads_it(tmp_path):
    Image.fromarray(noise()).save(tmp_path / "a.jpg", exif=exif(6))
    facts = read_facts(tmp_path / "a.jpg")
    assert facts.size_hw == read_image_bgr(tmp_path / "a.jpg").shape[:2] == (WIDTH, HEIGHT)
    Image.fromarray(read_image_bgr(tmp_path / "a.jpg")[..., ::-1]).save(tmp_path / "b.png")
    assert read_facts(tmp_path / "b.png").digest == facts.digest


def test_many_jobs_come_in_order():
    assert list(in_threads(lambda n: n * n, range(1000), "squares")) == [n * n for n in range(1000)]
    assert list(in_threads(abs, [], "none")) == []


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_files_end_in_a_finding(tmp_path):
    """Files of many formats with bytes changed, cut out or cut off: never an exception."""
    rng = np.random.default_rng(9)
    images = {"a.png": {}, "b.jpg": {}, "c.tif": {}, "d.gif": {}, "e.webp": {}, "f.bmp": {}}
    for name, options in images.items():
        Image.fromarray(noise()).save(
            tmp_path / name, exif=exif(3) if name[-3:] in ("png", "jpg", "tif") else b"", **options
        )
        whole = (tmp_path / name).read_bytes()
        for _ in range(25):
            data = bytearray(whole)
            for at in rng.integers(0, min(len(data), 400), 3):
                data[at] = rng.integers(0, 256)
            start = rng.integers(0, len(data))
            del data[start : start + rng.integers(0, 40)]
            (tmp_path / f"x{name}").write_bytes(bytes(data))
            facts = read_facts(tmp_path / f"x{name}")
            assert facts.fault is None or "\n" not in facts.fault
