"""How fast a sound is made of an image: one shot against one sample after the other.

    python tests/benchmarks/generate.py [--repeats 20] [--samples 2000] [--width 32] [--backbone small]

Two seconds of sound by the model of image_to_sound on one thread of a processor, as a multiple of real time: from the
pixels of a picture to samples, by each phase that needs no corpus. `first` is its first sound in this process. The peer
generates sample by sample, as the systems do that the report set one-shot models against: a recurrent network over 256
μ-law levels, of the kind of SampleRNN's and WaveRNN's lowest tier, with as many weights as the one-shot model makes a
sound with. Its time per sample doesn't depend on the sample, so that two seconds are 44,100 times that of `--samples`.
Weights are random: they don't change how long it takes.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from trainables.components.audio.clip import CLIP_SAMPLES, RATE_HZ
from trainables.components.representation.phase_rendering import render_magnitudes
from trainables.image_to_sound.config import ImageToSoundConfig
from trainables.image_to_sound.model import SoundFromPicture

CLIP_S = CLIP_SAMPLES / RATE_HZ
LEVELS = 256
PHASES = ("zero", "pghi", "griffin_lim", "pghi_griffin_lim")


class OneShot:
    """A picture to magnitudes to a sound."""

    def __init__(self, config: ImageToSoundConfig) -> None:
        self.config = config
        self.model = SoundFromPicture(config).eval()
        self.picture = torch.zeros(1, 3, config.image_size, config.image_size).uniform_(-1, 1)

    @torch.inference_mode()
    def __call__(self, phase: str) -> Tensor:
        autocast = torch.autocast("cpu", enabled=False)
        latents = self.model.apply_route(self.model.encode_pictures(self.picture, autocast), "decode")
        log_power = self.config.clip_representation.grid.to_full(self.model.decode_log_power(latents, autocast))
        return render_magnitudes(log_power, phase)

    @property
    def num_weights(self) -> int:
        """Of what a sound is made with: the network that sees, and the decoder."""
        audio = self.model.audio
        decoders = [audio.decoder, *([audio.linear_path.decoder] if audio.linear_path else [])]
        parts = [self.model.backbone, self.model.head, *decoders]
        return sum(each.numel() for part in parts for each in part.parameters())


class Autoregressive(nn.Module):
    """The next of 256 μ-law levels from all before it."""

    def __init__(self, num_weights: int) -> None:
        super().__init__()
        # A GRU whose input is as wide as its state has 6 h² weights, in and out of it are 2 · 256 h.
        hidden = int((-2 * LEVELS + math.sqrt((2 * LEVELS) ** 2 + 24 * num_weights)) / 12)
        self.embed = nn.Embedding(LEVELS, hidden)
        self.cell = nn.GRUCell(hidden, hidden)
        self.levels = nn.Linear(hidden, LEVELS)

    @torch.inference_mode()
    def sample(self, count: int) -> Tensor:
        state, level = torch.zeros(1, self.cell.hidden_size), torch.full((1,), LEVELS // 2)
        levels = []
        for _ in range(count):
            state = self.cell(self.embed(level), state)
            level = torch.multinomial(self.levels(state).softmax(dim=1), 1)[0]
            levels.append(level)
        position = torch.cat(levels).float() / (LEVELS - 1) * 2 - 1
        return position.sign() * torch.expm1(position.abs() * math.log(LEVELS)) / (LEVELS - 1)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--backbone", default="small")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    one_shot = OneShot(ImageToSoundConfig(width=given.width, backbone=given.backbone))
    peer = Autoregressive(one_shot.num_weights)
    firsts = {phase: seconds(partial(one_shot, phase)) for phase in PHASES}
    peer.sample(100)
    shots: dict[str, list[float]] = {phase: [] for phase in PHASES}
    ratios: dict[str, list[float]] = {phase: [] for phase in PHASES}
    for _ in range(given.repeats):
        of_peer = seconds(lambda: peer.sample(given.samples)) / given.samples * CLIP_SAMPLES
        for phase in PHASES:
            shots[phase].append(seconds(partial(one_shot, phase)))
            ratios[phase].append(of_peer / shots[phase][-1])
    weights = sum(each.numel() for each in peer.parameters())
    print(
        f"one shot: {one_shot.num_weights:,} weights; sample by sample: {weights:,}; one thread, {CLIP_S:g} s of sound"
    )
    print(f"{'phase':18} {'first':>8} {'steady':>8} {'× real time':>12} {'× peer':>8}")
    for phase in PHASES:
        steady = statistics.median(shots[phase])
        row = f"{firsts[phase]:7.3f}s {steady:7.3f}s {CLIP_S / steady:12.1f} {statistics.median(ratios[phase]):8.0f}"
        print(f"{phase:18} {row}")
    slow = statistics.median(ratios["zero"]) * statistics.median(shots["zero"])
    print(f"{'sample by sample':18} {'':8} {slow:7.1f}s {CLIP_S / slow:12.2f} {1:8d}")


if __name__ == "__main__":
    main()
