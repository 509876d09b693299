from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainables.corpora.picture_files import MAX_PIXELS, MIN_SIDE_PX, read_picture
from trainables.errors import InputError

TURNED_RIGHT = 6
"""The EXIF orientation of a camera that was held upright."""


def grey_of(value: float, kind: type[np.generic]) -> Image.Image:
    return Image.fromarray(np.full((20, 20), value, kind))


def halves() -> np.ndarray:
    """White on the left and black on the right, 40 pixels wide and 20 high."""
    return np.repeat([[255, 0]], 20, axis=1).repeat(20, axis=0).astype(np.uint8)


def noise_file(format: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(file, format)
    return file.getvalue()


def write_claim(path: Path, width: int, height: int) -> None:
    """A PNG of a few bytes whose header claims a size; a reader that goes on finds no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def complaint(path: Path) -> str:
    """What is said of a file, behind its path."""
    with pytest.raises(InputError) as error:
        read_picture(path, 16)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and message.count(str(path)) == 1
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def saved(path: Path, image: Image.Image, **options: Any) -> np.ndarray:
    """A picture after it was written and read, 16 pixels wide and high."""
    image.save(path, **options)
    return read_picture(path, 16)


@pytest.mark.parametrize("suffix", [".bmp", ".gif", ".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("size", [16, 48])
def test_every_kind_of_file_becomes_a_square_of_rgb(tmp_path: Path, suffix: str, size: int) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.new("RGB", (40, 30), (200, 100, 50)).save(path)
    picture = read_picture(path, size)
    assert picture.shape == (3, size, size)
    assert picture.dtype == np.uint8
    assert picture.flags["C_CONTIGUOUS"]
    assert np.abs(picture.mean(axis=(1, 2)) - (200, 100, 50)).max() < 4


def test_the_contents_say_what_a_file_is_and_not_its_name(tmp_path: Path) -> None:
    assert saved(tmp_path / "really a jpeg.png", Image.new("RGB", (20, 20), "white"), format="JPEG").min() == 255


@pytest.mark.parametrize(("width", "height"), [(60, 20), (20, 60)])
def test_a_picture_is_cropped_around_its_centre(tmp_path: Path, width: int, height: int) -> None:
    image = Image.new("RGB", (width, height), "red")
    image.paste((0, 0, 255), (width // 2 - 10, height // 2 - 10, width // 2 + 10, height // 2 + 10))
    picture = saved(tmp_path / "wide.png", image)
    assert picture[2].min() > 240 and picture[0].max() < 15


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_printers_colours_are_read(tmp_path: Path, suffix: str) -> None:
    picture = saved(tmp_path / f"cmyk{suffix}", Image.new("CMYK", (20, 20), (0, 255, 255, 0)))
    assert picture[0].min() > 250 and picture[1:].max() < 5


def blue_where_opaque(mode: str) -> Image.Image:
    image = Image.fromarray(np.array([[[0, 0, 255, 0]] * 20 + [[0, 0, 255, 255]] * 20] * 40, np.uint8))
    return image if mode == "RGBA" else image.quantize(colors=4, method=Image.Quantize.FASTOCTREE)


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_what_is_transparent_lies_on_white(tmp_path: Path, mode: str) -> None:
    image = blue_where_opaque(mode)
    assert image.mode == mode
    picture = saved(tmp_path / "logo.png", image)
    assert (picture[:, :, :7] == 255).all()
    assert (picture[:2, :, 9:] == 0).all() and (picture[2, :, 9:] == 255).all()


def test_a_transparent_index_and_a_half_transparent_pixel_too(tmp_path: Path) -> None:
    drawn = Image.new("P", (20, 20), 0)
    drawn.putpalette([255, 0, 0])
    assert (saved(tmp_path / "index.gif", drawn, transparency=0) == 255).all()
    assert (saved(tmp_path / "half.png", Image.new("RGBA", (20, 20), (0, 0, 0, 128))) == 127).all()
    assert (saved(tmp_path / "grey.png", Image.new("LA", (20, 20), (0, 0))) == 255).all()


@pytest.mark.parametrize(
    ("name", "kind", "given", "wanted"),
    [
        ("16 bits.png", np.uint16, 65535, 255),
        ("16 bits.png", np.uint16, 32768, 128),
        ("16 bits.png", np.uint16, 200, 1),
        ("16 bits.tif", np.uint16, 32768, 128),
        ("32 bits.tif", np.int32, 65535, 255),
        ("32 bits.tif", np.int32, 32768, 128),
        ("32 bits.tif", np.int32, 200, 200),
        ("32 bits.tif", np.int32, -5, 0),
        ("to 1.tif", np.float32, 0.5, 128),
        ("to 255.tif", np.float32, 127.6, 128),
        ("to 65535.tif", np.float32, 32768, 128),
        ("nothing.tif", np.float32, np.nan, 0),
    ],
)
def test_greys_of_many_bits_are_scaled_and_not_cut_off(
    tmp_path: Path, name: str, kind: type[np.generic], given: float, wanted: int
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (saved(tmp_path / name, grey_of(given, kind)) == wanted).all()


def test_the_first_image_of_an_animation_is_taken(tmp_path: Path) -> None:
    first, *others = (Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue"))
    for suffix in (".gif", ".webp", ".png"):
        picture = saved(tmp_path / f"waving{suffix}", first, save_all=True, append_images=others)
        assert picture[0].min() > 250 and picture[1:].max() < 5, suffix


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("photo.jpg", Image.fromarray(halves()).convert("RGB")),
        ("photo.webp", Image.fromarray(halves()).convert("RGB")),
        ("photo.tif", Image.fromarray(halves()).convert("RGB")),
        ("grey.tif", Image.fromarray(halves())),
        ("16 bits.png", Image.fromarray(halves().astype(np.uint16) * 257)),
        ("16 bits.tif", Image.fromarray(halves().astype(np.uint16) * 257)),
    ],
)
def test_a_picture_is_turned_as_its_camera_was_held(tmp_path: Path, name: str, image: Image.Image) -> None:
    upright = saved(tmp_path / f"upright {name}", image)
    assert upright[:, :, :6].min() > 240 and upright[:, :, 10:].max() < 15, "white on the left"
    exif = Image.Exif()
    exif[0x0112] = TURNED_RIGHT
    turned = saved(tmp_path / name, image, exif=exif)
    assert turned[:, :6].min() > 240 and turned[:, 10:].max() < 15, "white above"


@pytest.mark.parametrize(("width", "height"), [(1, 1), (MIN_SIDE_PX - 1, 400), (400, MIN_SIDE_PX - 1)])
def test_a_picture_of_too_few_pixels_is_refused(tmp_path: Path, width: int, height: int) -> None:
    Image.new("RGB", (width, height)).save(tmp_path / "small.png")
    assert complaint(tmp_path / "small.png") == (
        f"{width}x{height} pixels; at least 16x16 are needed: take a larger one"
    )


def test_the_smallest_picture_is_read(tmp_path: Path) -> None:
    assert saved(tmp_path / "small.png", Image.new("RGB", (MIN_SIDE_PX, MIN_SIDE_PX), "white")).min() == 255


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    write_claim(path, 12_000, 10_000)
    assert complaint(path) == "12000x10000 pixels; at most 100 million are read: make it smaller"
    write_claim(path, 20_000, 20_000)
    assert complaint(path) == "far more pixels than the 100 million that are read; make it smaller"
    write_claim(path, 2**31 - 1, 2**31 - 1)
    assert complaint(path) == "far more pixels than the 100 million that are read; make it smaller"
    Image.new("1", (20_000, 20_000)).save(path)
    assert path.stat().st_size < 100_000
    assert "make it smaller" in complaint(path)


def test_of_a_large_picture_that_is_allowed_nobody_is_warned(tmp_path: Path) -> None:
    write_claim(tmp_path / "large.png", 9_500, 9_500)
    assert Image.MAX_IMAGE_PIXELS is not None and Image.MAX_IMAGE_PIXELS < 9_500**2 < MAX_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert complaint(tmp_path / "large.png").startswith("is a damaged image ("), "its pixels were looked for"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_half_a_file_is_said_to_be_broken(tmp_path: Path, format: str) -> None:
    whole = noise_file(format)
    path = tmp_path / "half"
    path.write_bytes(whole[: len(whole) // 2])
    said = complaint(path)
    assert said.startswith(("is a damaged image (", "no picture that can be read"))
    if format in {"JPEG", "PNG"}:
        assert "truncated" in said and said.endswith("open and save it again, or take another")


def test_a_changed_byte_is_noticed_where_the_format_can(tmp_path: Path) -> None:
    contents = bytearray(noise_file("PNG"))
    contents[len(contents) // 2] ^= 255
    (tmp_path / "changed.png").write_bytes(contents)
    assert complaint(tmp_path / "changed.png").startswith("is a damaged image (")


def write_text(path: Path) -> None:
    path.write_text("no picture at all\nand two lines\n")


def write_nothing(path: Path) -> None:
    path.write_bytes(b"")


def leave_out(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (write_text, "no picture that can be read"),
        (write_nothing, "no picture that can be read"),
        (Path.mkdir, "Is a directory"),
        (os.mkfifo, "a pipe"),
        (leave_out, "No such file or directory"),
    ],
)
def test_what_is_no_picture_is_answered_with_what_is(tmp_path: Path, make: Callable[[Path], None], reason: str) -> None:
    make(tmp_path / "photo.png")
    assert complaint(tmp_path / "photo.png") == (
        f"{reason}; a file of .bmp .gif .jpeg .jpg .png .tif .tiff .webp is needed"
    )
