"""The added judges of a corpus, opened: beside the corpus judge, they score what trials produce."""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from trainables.components.audio.log_power_metrics import score_recordings
from trainables.components.judges.asking import ask
from trainables.components.judges.classes import ClassTable, Probabilities, normalize, open_probe
from trainables.components.judges.plugin import JUDGES, AddedJudge, Answer, JudgeSettings, Modality
from trainables.components.pictures.augmentation import as_floats
from trainables.components.shapes import Embeddings
from trainables.corpora.features import read_waveforms
from trainables.corpora.pictures import select_visible
from trainables.corpora.splits import Split, digest
from trainables.support.cache import write_once
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus

VERSIONS: dict[Modality, int] = {"sound": 1, "picture": 2}
"""Raise one with any change that changes the probabilities or embeddings of an added judge, or the clips it gets."""
TRAIN_CLIPS = 2048
"""The most train clips that the probe and the distances between distributions are computed from."""
BATCH_CLIPS = 64
MAX_OPENED = 4
"""Judges that stay open in a process; each may hold gigabytes of weights."""
LARGEST_P = 0.2
"""A judge is at chance level if guessing reaches its accuracy on real clips with a larger probability. With few
recordings a stricter limit would leave out judges that recognize twice as many as by chance."""


@dataclass(frozen=True)
class RealScore:
    """What a judge recognizes of real validation clips.

    Attributes:
        accuracy: the fraction of recordings whose class is right.
        recordings: the number of recordings.
        chance: the accuracy of always answering the most frequent class.
        ms_per_clip: milliseconds that it takes for a clip.
    """

    accuracy: float
    recordings: int
    chance: float
    ms_per_clip: float

    @property
    def is_at_chance(self) -> bool:
        """Whether guessing could well be as accurate (one-sided binomial test)."""
        from scipy.stats import binomtest

        right = round(self.accuracy * self.recordings)
        return float(binomtest(right, self.recordings, self.chance, alternative="greater").pvalue) > LARGEST_P


class PanelJudge:
    """An added judge on one corpus: its answers as probabilities of the corpus's classes, and as embeddings.

    Args:
        plugin: the judge.
        corpus: the corpus; its cache has the embeddings of train clips and the probe.
        progress: is called while train clips are embedded.

    Attributes:
        name: prefix of the judge's metrics.
        id: identifies the judge: metrics of judges with different ids are not comparable.
        max_clips: the validation clips that it judges after an epoch, at most.
        seconds: the time that its answers took so far.
    """

    def __init__(self, plugin: AddedJudge, corpus: Corpus, progress: Progress = silent) -> None:
        settings = plugin.settings
        self.name: str = settings.name
        self.id = _identify(type(plugin), settings, corpus)
        self.max_clips: int = settings.clips
        self.seconds = 0.0
        self._plugin = plugin
        self._corpus = corpus
        self._table: ClassTable | None = None
        self.train_clips = self._sample_train_clips()
        self.train_embeddings = self._embed_train_clips(progress)
        if settings.classes is not None:
            self._table = ClassTable(settings.classes, corpus.classes, f"judge {self.name}")
        elif not plugin.knows_classes:
            labels = torch.from_numpy(corpus.labels(self.train_clips))
            path = corpus.folder / f"probe-{self.id}.npz"
            self._probe = open_probe(path, self.train_embeddings, labels, len(corpus.classes))

    def classify_and_embed(self, clips: Tensor) -> tuple[Probabilities, Embeddings]:
        """Return class probabilities and embeddings on the CPU.

        Args:
            clips: sounds at the corpus's rate, of shape (clips, samples), or pictures within −1..1 of any size.
        """
        if not clips.isfinite().all():
            # A model that has diverged, which is no fault of the judge.
            unknown = clips.new_full((len(clips), len(self._corpus.classes)), torch.nan, device="cpu")
            return unknown, torch.full((len(clips), self.train_embeddings.shape[1]), torch.nan)
        answer = self._ask(clips)
        embeddings = torch.from_numpy(np.asarray(answer.embeddings, np.float32))
        if self._table is not None:
            return self._table.to_probabilities(answer.scores), embeddings
        if self._plugin.knows_classes:
            return normalize(torch.from_numpy(np.asarray(answer.scores, np.float32))), embeddings
        return self._probe.to_probabilities(embeddings), embeddings

    def classify_waveforms(self, waveforms: Tensor) -> Probabilities:
        """Return the probability of each class, given samples at the corpus's rate."""
        return self.classify_and_embed(waveforms)[0]

    def choose_clips(self, count: int) -> NDArray[np.int64]:
        """Return the positions of the clips that it judges after an epoch, of `count` ones; ascending."""
        chosen = np.random.default_rng(0).permutation(count)[: self.max_clips]
        return np.sort(chosen).astype(np.int64)

    def score_real_clips(self) -> RealScore:
        """Return what it recognizes of real validation clips, from the cache after the first time."""

        def make(path: Path) -> None:
            clips = self._visible("validation")
            clips = clips[self.choose_clips(len(clips))]
            recordings, labels = self._corpus.clips["recording"].to_numpy(str)[clips], self._corpus.labels(clips)
            before = self.seconds
            parts = [self.classify_and_embed(batch)[0] for batch in self._read(clips)]
            verdict = score_recordings(torch.cat(parts), labels, recordings)
            names, first = np.unique(recordings, return_index=True)
            chance = np.bincount(labels[first]).max() / len(names)
            ms_per_clip = 1000 * (self.seconds - before) / len(clips)
            score = RealScore(verdict.accuracy, len(names), float(chance), ms_per_clip)
            path.write_text(json.dumps(vars(score)), encoding="utf-8")

        path = write_once(self._corpus.folder / f"real-{self.id}.json", make)
        return RealScore(**json.loads(path.read_text("utf-8")))

    def _sample_train_clips(self) -> NDArray[np.int64]:
        clips: NDArray[np.int64] = np.random.default_rng(0).permutation(self._visible("train"))[:TRAIN_CLIPS]
        return clips

    def _embed_train_clips(self, progress: Progress) -> Embeddings:
        """Return the embeddings of train clips; they are computed once per corpus and judge."""

        def make(path: Path) -> None:
            parts = []
            for number, batch in enumerate(self._read(self.train_clips)):
                progress(f"judge {self.name} on train clips", number * BATCH_CLIPS, len(self.train_clips))
                parts.append(self._ask(batch).embeddings)
            progress(f"judge {self.name} on train clips", len(self.train_clips), len(self.train_clips))
            with path.open("wb") as file:
                np.save(file, np.concatenate(parts).astype(np.float32))

        return torch.from_numpy(np.load(write_once(self._corpus.folder / f"embeddings-{self.id}.npy", make)))

    def _visible(self, split: Split) -> NDArray[np.int64]:
        """Return the clips of a split, for pictures those that have one."""
        clips = self._corpus.indices(split)
        if self._plugin.modality == "picture":
            return select_visible(self._corpus, self._corpus.frames(self._plugin.size_px), clips)
        return clips

    def _read(self, clips: NDArray[np.int64]) -> Any:
        """Yield the sounds or the pictures of clips in batches."""
        for part in np.split(clips, range(BATCH_CLIPS, len(clips), BATCH_CLIPS)):
            if self._plugin.modality == "picture":
                yield as_floats(torch.from_numpy(self._corpus.frames(self._plugin.size_px)[part]))
            else:
                yield read_waveforms(self._corpus.waveforms(), part)

    def _ask(self, clips: Tensor) -> Answer:
        started = time.monotonic()
        if self._plugin.modality == "picture":
            size = self._plugin.size_px
            if clips.shape[-1] != size:
                clips = F.interpolate(clips, (size, size), mode="bilinear", antialias=True)
            clips = (clips + 1) / 2
        answer = ask(self._plugin, clips.float().cpu().numpy(), self._corpus.rate_hz)
        self.seconds += time.monotonic() - started
        return answer


_OPENED: dict[tuple[object, ...], PanelJudge] = {}
"""The judges that are open, by all that decides what they answer; the oldest first."""


def open_panel(corpus: Corpus, modality: Modality, progress: Progress = silent) -> dict[str, PanelJudge]:
    """Open the added judges of a corpus that judge sounds, or those that judge pictures, once in a process.

    Returns:
        The judges by name; none if the search space adds none.

    Raises:
        InputError: a judge can't be loaded, or its answer to train clips can't be used.
    """
    panel = {}
    pictures = corpus.digest_pictures() if modality == "picture" else ""
    for entry in corpus.additions.judges:
        kind = JUDGES[entry["name"]]
        if kind.modality == modality:
            settings = kind.Settings(**entry)
            key = (kind, _identify(kind, settings, corpus), settings.model_dump_json(), corpus.folder, pictures)
            if key not in _OPENED:
                judge = PanelJudge(kind(settings, corpus.classes), corpus, progress)
                _OPENED[key] = judge
                while len(_OPENED) > MAX_OPENED:
                    del _OPENED[next(iter(_OPENED))]
            panel[settings.name] = _OPENED[key]
    return panel


def identify_panel(corpus: Corpus) -> dict[str, str]:
    """Return the id of each added judge of a corpus by its name, without loading them."""
    ids = {}
    for entry in corpus.additions.judges:
        kind = JUDGES[entry["name"]]
        ids[str(entry["name"])] = _identify(kind, kind.Settings(**entry), corpus)
    return ids


def _identify(kind: type[AddedJudge], settings: JudgeSettings, corpus: Corpus) -> str:
    """Return the id of a judge: its name, and a hash of corpus, code, settings and files."""
    files = [path for path in (settings.weights, settings.classes) if path is not None]
    contents = [_hash_file(path.expanduser(), path.expanduser().stat().st_mtime_ns) for path in files]
    plain = settings.model_dump(mode="json", exclude={"weights", "classes", "seconds_per_batch"})
    is_own = kind.__module__.startswith("trainables.")
    source = kind.__name__ if is_own else Path(inspect.getfile(kind)).read_text("utf-8")
    text = f"{corpus.fingerprint} {VERSIONS[kind.modality]} {json.dumps(plain, sort_keys=True)} {contents} {source}"
    return f"{settings.name}-{digest(text)[:12]}"


@lru_cache(maxsize=8)
def _hash_file(path: Path, changed_ns: int) -> str:
    """Return a hash of a file's content, or of all files of a folder; `changed_ns` is when it was changed."""
    content = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as opened:
                content.update(hashlib.file_digest(opened, "sha256").digest())
    return content.hexdigest()
