"""The generator of demo recordings, as the bytes of their files."""

from __future__ import annotations

import io
import wave
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from trainables.corpora.demo import machine_pictures, machine_sounds, pictures, sounds
from trainables.corpora.demo.canvas import SIDE, Canvas
from trainables.corpora.demo.scene import FRAME_RATE_HZ, FRAMES, RATE_HZ, Latent, Take
from trainables.corpora.demo.signal import record


@dataclass(frozen=True)
class Recipe:
    """The synthesis of one class: the function of its sound, and that of the picture in time with it."""

    sound: Callable[[np.random.Generator, Latent], Take]
    picture: Callable[[np.random.Generator, Canvas, Take, Latent], None]


RECIPES: Mapping[str, Recipe] = {
    "baby_cry": Recipe(sounds.baby_cry, pictures.baby_cry),
    "chainsaw": Recipe(machine_sounds.chainsaw, machine_pictures.chainsaw),
    "dog": Recipe(sounds.dog, pictures.dog),
    "drum": Recipe(machine_sounds.drum, machine_pictures.drum),
    "fireworks": Recipe(sounds.fireworks, pictures.fireworks),
    "helicopter": Recipe(machine_sounds.helicopter, machine_pictures.helicopter),
    "printer": Recipe(machine_sounds.printer, machine_pictures.printer),
    "rail_transport": Recipe(machine_sounds.rail_transport, machine_pictures.rail_transport),
    "snoring": Recipe(sounds.snoring, pictures.snoring),
    "water_flowing": Recipe(sounds.water_flowing, pictures.water_flowing),
}
"""The recipes by class; the names are those of VEGAS's folders."""


class Recording(NamedTuple):
    """The contents of a recording's files."""

    mp4: bytes
    jpg: bytes
    wav: bytes


def make_recording(name: str, index: int, seed: int) -> Recording:
    """Generate a recording; the same arguments give the same bytes, whatever else the corpus contains.

    Args:
        name: the class.
        index: the number of the recording within its class.
        seed: the seed of the corpus.
    """
    # The class is part of the seed by its name, so that adding a class would not change the recordings of others.
    seeds = np.random.default_rng([seed, zlib.crc32(name.encode()), index])
    latent_rng, sound_rng, room_rng, picture_rng = seeds.spawn(4)
    latent = Latent.draw(latent_rng)
    take = RECIPES[name].sound(sound_rng, latent)
    sound = record(room_rng, take.sound, latent)
    canvas = Canvas(latent, picture_rng)
    RECIPES[name].picture(picture_rng, canvas, take, latent)
    frames = canvas.develop()
    return Recording(_mp4(frames, sound), _jpg(frames[FRAMES // 2]), _wav(sound))


def _mp4(frames: NDArray[np.uint8], sound: NDArray[np.int16]) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        # With several threads, the bytes that x264 writes would depend on the number of cores.
        video = container.add_stream(
            "libx264", rate=FRAME_RATE_HZ, options={"preset": "veryfast", "crf": "23", "threads": "1"}
        )
        video.width = video.height = SIDE
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono", options={"aac_coder": "fast"})
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(video.encode())
        samples = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
        samples.sample_rate = RATE_HZ
        container.mux(audio.encode(samples))
        container.mux(audio.encode())
    return file.getvalue()


def _jpg(frame: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1, options={"qmin": "2", "qmax": "2"})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuvj420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def _wav(sound: NDArray[np.int16]) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(sound.astype("<i2").tobytes())
    return file.getvalue()
