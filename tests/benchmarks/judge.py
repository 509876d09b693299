"""How well a judge hears real recordings, cross-validated by the folds that their file names begin with.

    python tests/benchmarks/judge.py DIR [--seeds 5] [--judge A] [--augment mix+pitch]

DIR has one folder per class, and files named `FOLD-rest`, as ESC-10's are. For every fold and seed the judge is trained
from scratch on the other folds, by the code that trains a sweep's judge, and votes on each recording of the fold: the
mean probability over its clips, and the class where that is largest.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import torch

from trainables.components.audio.spectrogram import log_power
from trainables.components.judges.sound_judge import NETWORKS, Judge, train_network
from trainables.corpora.corpus import Corpus
from trainables.corpora.features import clip_power
from trainables.corpora.folder import ESC_NAME
from trainables.corpora.opening import open_corpus


def fold_of(recording: str) -> int:
    """The number that a file's name begins with."""
    fold, hyphen, _ = PurePosixPath(recording).name.partition("-")
    if not hyphen or not fold.isdecimal():
        raise SystemExit(f"{recording}: the name of a file has to begin with the number of its fold and a hyphen")
    return int(fold)


def check_sources(recordings: list[str]) -> None:
    """Stop where takes of one source (ESC's `fold-source-take`) are in several folds."""
    folds = defaultdict(set)
    for recording in recordings:
        if ESC_NAME.fullmatch(stem := PurePosixPath(recording).stem):
            folds[stem.split("-")[1]].add(fold_of(recording))
    if torn := [source for source, its_folds in folds.items() if len(its_folds) > 1]:
        raise SystemExit(f"source {torn[0]} is in several folds, and {len(torn) - 1} more are")


def votes(corpus: Corpus, judge: Judge, clips: np.ndarray) -> pd.DataFrame:
    """A row a recording: its class, and the one that was heard."""
    heard = judge.classify_log_power(log_power(clip_power(corpus.waveforms(), clips))).numpy(force=True)
    means = pd.DataFrame(heard).groupby(corpus.clips["recording"].to_numpy(str)[clips]).mean()
    true = corpus.clips.drop_duplicates("recording").set_index("recording").loc[means.index, "label"]
    probability = means.to_numpy()[np.arange(len(means)), true]
    return pd.DataFrame({"true": true, "heard": means.idxmax(axis=1), "probability": probability})


def main() -> None:
    """Train once per fold and seed and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--judge", choices=list(NETWORKS), default="A")
    parser.add_argument("--augment", default="", help="augmentations beside the usual ones, such as mix+pitch")
    given = parser.parse_args()
    augment = given.augment.split("+") if given.augment else []
    with tempfile.TemporaryDirectory() as home:
        corpus = open_corpus({"name": "folder", "root": str(given.folder)}, Path(home))
        recordings = corpus.clips["recording"].astype(str)
        check_sources(sorted(set(recordings)))
        folds = recordings.map(fold_of)
        runs, seconds = [], []
        for seed in range(1, given.seeds + 1):
            for fold in sorted(set(folds)):
                started = time.perf_counter()
                network = train_network(corpus, given.judge, np.flatnonzero(folds != fold), seed=seed, augment=augment)
                seconds.append(time.perf_counter() - started)
                judge = Judge(f"{given.judge}-seed{seed}", network, torch.device("cpu"))
                run = votes(corpus, judge, np.flatnonzero(folds == fold)).assign(fold=fold, seed=seed)
                print(
                    f"fold {fold}, seed {seed}: {(run['true'] == run['heard']).mean():.3f} ({seconds[-1]:.1f} s)",
                    flush=True,
                )
                runs.append(run)
    heard = pd.concat(runs).assign(right=lambda table: table["true"] == table["heard"])
    print(
        f"\njudge {given.judge}, {recordings.nunique()} recordings, {len(recordings)} clips;"
        f" {os.cpu_count()} processors, {torch.get_num_threads()} threads"
    )
    print("\nrecordings heard rightly\n")
    print(heard.pivot_table(values="right", index="fold", columns="seed", margins=True, margins_name="all").round(3))
    print("\nrecall of each class\n")
    print(heard.groupby(heard["true"].map(dict(enumerate(corpus.classes))))["right"].mean().round(2).to_string())
    of_seed = heard.groupby("seed")["right"].mean()
    print(
        f"\nmean {of_seed.mean():.3f}, standard error over seeds {of_seed.sem():.3f};"
        f" probability of the true class {heard['probability'].mean():.3f};"
        f" {np.mean(seconds):.1f} s a training ({np.min(seconds):.1f} to {np.max(seconds):.1f})"
    )


if __name__ == "__main__":
    main()
