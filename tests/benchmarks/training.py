"""How fast the autoencoder trains: ours against the loop that the report's authors wrote, at the report's size.

    python tests/benchmarks/training.py [--clips 128] [--repeats 3] [--precision float32] [--device cpu] [--home DIR]

Both train on the same clips of the demo corpus: 48x128, batches of 64, width 256, latent 128, squared error. The
authors' network and loop are written anew after `sahil/autoEncoderExp.py` and `sahil/simplemodel.py` of their
repository: 32-bit floats, contiguous maps, batch normalization, two Adams, a pickle of (clips, 192, 512, 2) read in
every epoch and normalized clip by clip, three losses fetched in every step. The contenders take turns, after one epoch
each that isn't counted, and the median of the ratios is printed.

`not computing` is what an epoch of ours spends outside the networks' forward passes, `backward` and the optimizer's
`step`: reading the batch, normalizing it, the loss itself, clipping the gradient, fetching the metrics. Timers around
those four calls tell, in epochs of their own. A graphics card replays all of a step but the reading of its batch from a
recording, and is waited for at both ends of that. Validation, which the authors' loop doesn't have, is not part of an
epoch here and has a row of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.autoencoder.trainable import Autoencoder
from trainables.components.audio.spectrogram import log_power
from trainables.components.judges.sound_judge import open_judge
from trainables.components.training import cuda_graph
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import clip_power
from trainables.corpora.opening import open_corpus

CONFIG = Autoencoder.Config(width=256, batch_size=64, latent_dim=128, loss="l2", spectrogram="48x128")
CHANNELS = CONFIG.width
SLOPE = 0.02
AUTHORS_PARAMETERS = 15.8e6
KL_WEIGHT = 3e-4
DECIMATION = 4


class Residual(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.layers(x)
        return branch + x


def conv3(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1)


def encoder_block(in_channels: int, channels: int, *, pool: bool) -> nn.Sequential:
    """The authors' EncDiscBlock."""
    branches = (Residual(nn.BatchNorm2d(channels), conv3(channels), nn.LeakyReLU(SLOPE)) for _ in range(2))
    return nn.Sequential(nn.AvgPool2d(2) if pool else nn.Identity(), nn.Conv2d(in_channels, channels, 1), *branches)


def decoder_block(in_channels: int, channels: int, *, up: bool) -> nn.Sequential:
    """The authors' GenBlock."""
    branches = (Residual(conv3(channels), nn.LeakyReLU(SLOPE), nn.BatchNorm2d(channels)) for _ in range(2))
    grown = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1) if up else nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1), *branches, grown)


def encoder_end() -> nn.Sequential:
    """The authors' EncDiscEndBlock."""
    layers = (nn.BatchNorm2d(CHANNELS), conv3(CHANNELS), nn.LeakyReLU(SLOPE), nn.BatchNorm2d(CHANNELS))
    return nn.Sequential(*layers, nn.Conv2d(CHANNELS, CONFIG.latent_dim, (3, 8)), nn.Flatten())


def softplus(x: Tensor) -> Tensor:
    """As the authors wrote it."""
    return torch.log(1 + torch.exp(x))


class AuthorsEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        levels = [CHANNELS // 8, CHANNELS // 4, CHANNELS // 2, CHANNELS, CHANNELS]
        blocks = [
            encoder_block(block_in, below, pool=pool)
            for above, below in pairwise(levels)
            for block_in, pool in ((above, True), (below, False))
        ]
        self.blocks = nn.Sequential(nn.Conv2d(1, levels[0], 1), *blocks)
        self.mean, self.log_sigma = encoder_end(), encoder_end()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.blocks(x)
        return self.mean(x), softplus(self.log_sigma(x))


class AuthorsDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        start = nn.ConvTranspose2d(CONFIG.latent_dim, CHANNELS, (3, 8))
        norms = nn.BatchNorm2d(CHANNELS), nn.BatchNorm2d(CHANNELS)
        init = (start, nn.LeakyReLU(SLOPE), norms[0], conv3(CHANNELS), nn.LeakyReLU(SLOPE), norms[1])
        levels = [CHANNELS, CHANNELS, CHANNELS // 2, CHANNELS // 4, CHANNELS // 8]
        blocks = [
            decoder_block(below, block_out, up=up)
            for below, above in pairwise(levels)
            for block_out, up in ((below, False), (above, True))
        ]
        self.blocks = nn.Sequential(*init, *blocks)
        self.mean, self.sigma = nn.Conv2d(levels[-1], 1, 1), nn.Conv2d(levels[-1], 1, 1)

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        x = self.blocks(latents[:, :, None, None])
        return self.mean(x), softplus(self.sigma(x))


class Authors:
    """The authors' network, data and loop."""

    def __init__(self, pickled: Path, device: str) -> None:
        torch.manual_seed(0)
        self.pickled, self.device = pickled, device
        self.encoder, self.decoder = AuthorsEncoder().to(device), AuthorsDecoder().to(device)
        self.optimizers = [torch.optim.Adam(part.parameters(), lr=3e-4) for part in (self.encoder, self.decoder)]

    def parameters(self) -> list[nn.Parameter]:
        return [*self.encoder.parameters(), *self.decoder.parameters()]

    def reconstruct(self, clips: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means and standard deviations of the latents, and reconstructions."""
        mean, sigma = self.encoder(clips)
        return mean, sigma, self.decoder(mean)[0]

    def epoch(self) -> None:
        """One pass over the pickle. The divergence is computed, and multiplied by 0."""
        with self.pickled.open("rb") as file:
            array = pickle.load(file)
        data = torch.Tensor(np.transpose(array, (0, 3, 1, 2))[:, :, ::DECIMATION, ::DECIMATION])
        means, stds = [], []
        for index in range(len(data)):
            means.append(data[index].mean().numpy())
            stds.append(data[index].std().numpy())
            data[index] = (data[index] - data[index].mean()) / data[index].std()
        totals = [0.0, 0.0, 0.0]
        for index in range(len(data) // CONFIG.batch_size):
            clips = data[index * CONFIG.batch_size : (index + 1) * CONFIG.batch_size].to(self.device)
            mean, sigma, estimate = self.reconstruct(clips[:, :1])
            divergence = KL_WEIGHT * 0 * torch.mean(mean**2 + sigma**2 - torch.log(sigma**2) - 1)
            error = F.mse_loss(estimate, clips[:, :1])
            assert divergence.item() < 1 and error.item() < 60
            (divergence + error).backward()
            totals[0] += divergence.item()
            totals[1] += error.item()
            totals[2] += ((clips[:, :1] - estimate) ** 2).mean().item()
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad()


def write_pickle(corpus: Corpus, path: Path) -> None:
    """The training clips as the authors kept theirs: magnitude and phase on the full grid."""
    clips = corpus.indices("train")
    waveforms = corpus.waveforms()
    magnitudes = torch.cat(
        [log_power(clip_power(waveforms, part)) for part in np.split(clips, len(clips) // CONFIG.batch_size)]
    )
    # Nothing learns the phase: any numbers take as long.
    phases = torch.rand(magnitudes.shape, generator=torch.Generator().manual_seed(0))
    with path.open("wb") as file:
        pickle.dump(torch.stack([magnitudes, phases], dim=-1).numpy(), file, protocol=pickle.HIGHEST_PROTOCOL)


def only(corpus: Corpus, num_clips: int, folder: Path) -> Corpus:
    """A corpus with the first training clips alone, and all of its validation split; `folder` keeps what follows from
    them, and links to the rest."""
    open_judge(corpus)
    for path in corpus.folder.iterdir():
        if path.name.startswith(("waveforms", "judge", "log_power")):
            (folder / path.name).symlink_to(path)
    surplus = corpus.indices("train")[num_clips:]
    clips = corpus.clips.copy()
    clips.loc[surplus, "split"] = "surplus"
    return replace(corpus, clips=clips, folder=folder)


def gigamacs(forward: Callable[[], Any]) -> float:
    """Multiplications of a forward pass, in 10⁹."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        forward()
    flops: int = counter.get_total_flops()
    return flops / 2e9


class Stopwatch:
    """Seconds of wall time, with a graphics card waited for."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def of(self, function: Callable[[], Any]) -> float:
        started = self.now()
        function()
        return self.now() - started

    def counting(self, function: Callable[..., Any], total: list[float]) -> Callable[..., Any]:
        """A function that also adds what it took to `total`."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = self.now()
            result = function(*args, **kwargs)
            total.append(self.now() - started)
            return result

        return timed


def pieces(ours: Autoencoder, watch: Stopwatch, repeats: int) -> dict[str, float]:
    """Shares of an epoch of ours, by timers around its pieces."""
    timed: list[tuple[Any, str, str]] = [
        (ours.codec.networks, "encode", "forward"),
        (ours.codec.networks, "decode", "forward"),
        (ours.optimizer, "step", "optimizer"),
        (Tensor, "backward", "backward"),
    ]
    if watch.device.type == "cuda":
        timed = [(torch.cuda.CUDAGraph, "replay", "recorded step")]
    spent: dict[str, list[float]] = {piece: [] for _, _, piece in timed}
    with contextlib.ExitStack() as stack:
        for owner, method, piece in timed:
            counted = watch.counting(getattr(owner, method), spent[piece])
            stack.enter_context(patch.object(owner, method, counted))
        total = sum(watch.of(ours._train_epoch) for _ in range(repeats))
    shares = {name: sum(seconds) / total for name, seconds in spent.items()}
    return shares | {"not computing": 1 - sum(shares.values())}


def main() -> None:
    """Let the two take turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=128, help="training clips, a multiple of 64 up to 300")
    parser.add_argument("--repeats", type=int, default=3, help="epochs of each that count")
    precisions = ("bfloat16", "float32")
    parser.add_argument("--precision", default="bfloat16", choices=precisions, help="of our convolutions")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--home", type=Path, help="where the corpus is, or is made; otherwise in a temporary folder")
    given = parser.parse_args()
    assert given.clips % CONFIG.batch_size == 0, "both loops should take the same number of steps"
    with tempfile.TemporaryDirectory() as folder:
        (subset := Path(folder) / "subset").mkdir()
        corpus = only(open_corpus({"name": "demo"}, (given.home or Path(folder)).resolve()), given.clips, subset)
        assert len(corpus.indices("train")) == given.clips, f"{len(corpus.indices('train'))} training clips"
        pickled = Path(folder) / "0.pkl"
        write_pickle(corpus, pickled)
        compare(corpus, pickled, given.device, given.repeats, given.precision)


def compare(corpus: Corpus, pickled: Path, device: str, repeats: int, precision: str) -> None:
    """Count, time and print."""
    config = CONFIG.model_copy(update={"precision": precision})
    authors, ours = Authors(pickled, device), Autoencoder(config, corpus, device=device, seed=0)
    parameters = [sum(each.numel() for each in net.parameters()) for net in (authors, ours.codec.networks)]
    assert math.isclose(parameters[0], AUTHORS_PARAMETERS, rel_tol=0.05), f"{parameters[0]} parameters"
    clip = ours.train.batch(torch.arange(1))
    macs = [gigamacs(lambda: authors.reconstruct(clip)), gigamacs(lambda: ours.codec.estimate(ours.codec.target(clip)))]

    watch = Stopwatch(device)
    authors.epoch()
    # On a card the first steps are not those that it replays.
    for _ in range(cuda_graph.CALLS + 1 if watch.device.type == "cuda" else 1):
        ours._train_epoch()
    seconds = np.array([[watch.of(authors.epoch), watch.of(ours._train_epoch)] for _ in range(repeats)])
    shares = pieces(ours, watch, repeats)
    validation_s = statistics.median(watch.of(ours._validate) for _ in range(repeats))

    where = torch.cuda.get_device_name() if device.startswith("cuda") else f"{os.cpu_count()} processors"
    how = f"{where}, {torch.get_num_threads()} threads, {precision}"
    print(f"{len(ours.train)} clips an epoch, {repeats} epochs each, {how}")
    print(f"{'':12}{'parameters':>12}{'GMAC a clip':>13}{'s an epoch':>12}{'epochs a s':>12}{'clips a s':>11}")
    for name, number, mac, median_s in zip(
        ("authors", "ours"), parameters, macs, np.median(seconds, axis=0), strict=True
    ):
        rates = f"{1 / median_s:12.4f}{len(ours.train) / median_s:11.1f}"
        print(f"{name:12}{number / 1e6:10.1f} M{mac:13.2f}{median_s:12.3f}{rates}")
    ratios = seconds[:, 0] / seconds[:, 1]
    print(f"epochs a second, ours to authors': {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})")
    print("an epoch of ours: " + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()))
    print(f"validation of {len(ours.validation)} clips, not part of it: {validation_s:.3f} s")


if __name__ == "__main__":
    main()
