"""The reader of picture files: it returns a square of RGB pixels, or raises a one-line error."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from trainables.corpora.files import PICTURE_SUFFIXES
from trainables.errors import InputError

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""The formats that Pillow may open. Some others start external programs, and none is usual for photos."""
MIN_SIDE_PX = 16
MAX_PIXELS = 100_000_000
"""The largest size: decoding a picture of this many pixels takes 300 MB, even if its file is small."""

Picture = UInt8[np.ndarray, "3 size size"]


def read_picture(path: Path, size: int) -> Picture:
    """Read the centre of a picture, scaled to `size` pixels in width and height.

    It is rotated by its EXIF orientation. Transparent parts become white. Of an animation, the first image is read.

    Raises:
        InputError: the picture can't be read, or is too small or too large.
    """
    if path.is_fifo():
        # Perhaps nobody ever writes into it.
        raise InputError(f"{path}: a pipe; {_name_formats()}")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures, which `_check_size` rejects.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # Pillow memory-maps a file that it opens by name, and then scrambles a rotated TIFF.
            with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
                _check_size(path, *image.size)
                return crop_square(_fill_transparency(ImageOps.exif_transpose(_to_eight_bits(image))), size)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: far more pixels than the {_name_limit()} that are read; make it smaller") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: no picture that can be read; {_name_formats()}") from error
    except (OSError, SyntaxError, ValueError) as error:
        if reason := getattr(error, "strerror", None):
            raise InputError(f"{path}: {reason}; {_name_formats()}") from error
        # Pillow raises a SyntaxError for a broken PNG.
        raise InputError(f"{path}: is a damaged image ({error}); open and save it again, or take another") from error


def crop_square(image: Image.Image, size: int) -> Picture:
    """Return the largest square around the centre of an image, resized."""
    square = ImageOps.fit(image.convert("RGB"), (size, size))
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def _check_size(path: Path, width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE_PX:
        raise InputError(
            f"{path}: {width}x{height} pixels; at least {MIN_SIDE_PX}x{MIN_SIDE_PX} are needed: take a larger one"
        )
    if width * height > MAX_PIXELS:
        raise InputError(f"{path}: {width}x{height} pixels; at most {_name_limit()} are read: make it smaller")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey values of more than 8 bits to 8 bits, which Pillow would clip; return other images unchanged."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image, np.float32), posinf=0.0)
    peak = values.max(initial=0)
    # The format has no white level: it is guessed from the largest value.
    if image.mode.startswith("I;16") or peak > 255:
        white = 65535
    elif image.mode == "F" and peak <= 1:
        white = 1
    else:
        white = 255
    grey = Image.fromarray(np.clip((values * (255 / white)).round(), 0, 255).astype(np.uint8))
    grey.info = image.info
    return grey


def _fill_transparency(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _name_formats() -> str:
    return f"a file of {' '.join(sorted(PICTURE_SUFFIXES))} is needed"


def _name_limit() -> str:
    return f"{MAX_PIXELS // 1_000_000} million"
