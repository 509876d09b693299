"""The contract of corpora."""

from __future__ import annotations

import numpy as np

from trainables.corpora.corpus import Corpus
from trainables.corpora.splits import Split
from trainables.testing.promise import Broken, Promise

COLUMNS = ("clip", "recording", "class", "label", "split", "start_s")
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def check_table(corpus: Corpus) -> None:
    """Check that the table of clips has every column, unique names and the right labels."""
    if missing := [name for name in COLUMNS if name not in corpus.clips]:
        raise Broken(f"its table of clips lacks {', '.join(missing)}")
    if corpus.clips["clip"].duplicated().any():
        raise Broken("two clips have one name")
    labelled = [corpus.classes[label] for label in corpus.clips["label"]]
    if labelled != list(corpus.clips["class"]):
        raise Broken("labels are not the positions of classes")


def check_splits(corpus: Corpus) -> None:
    """Check that every split has clips, and that no recording is in two splits."""
    splits = corpus.clips.groupby("recording")["split"].nunique()
    if cut := list(splits[splits > 1].index):
        raise Broken(f"recordings in several splits: {', '.join(map(str, cut[:3]))}")
    if empty := [split for split in SPLITS if not len(corpus.indices(split))]:
        raise Broken(f"splits without clips: {', '.join(empty)}")


def check_waveforms(corpus: Corpus) -> None:
    """Check that every clip has the samples of the corpus's format, none of them silent."""
    waveforms = corpus.waveforms()
    expected = (len(corpus.clips), corpus.clip_format.samples)
    if waveforms.shape != expected or waveforms.dtype != np.int16:
        raise Broken(f"needs int16 of shape {expected}, got {waveforms.dtype} of shape {waveforms.shape}")
    if silent := [str(name) for name, clip in zip(corpus.clips["clip"], waveforms, strict=True) if not clip.any()]:
        raise Broken(f"clips without a sound: {', '.join(silent[:3])}")


def check_probes(corpus: Corpus) -> None:
    """Check that the probe clips are of the validation split."""
    if set(corpus.clips["split"].to_numpy()[corpus.probes(3)]) != {"validation"}:
        raise Broken("its probe clips are not of the validation split")


CORPUS = (
    Promise("its table of clips has every column, unique names and right labels", check_table),
    Promise("every split has clips, and no recording is in two", check_splits),
    Promise("every clip is of the corpus's length, and has a sound", check_waveforms),
    Promise("the probe clips are of the validation split", check_probes),
)
