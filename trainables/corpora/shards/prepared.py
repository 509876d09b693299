"""A prepared corpus that is used on another machine, where its recordings are not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainables.corpora.corpus import Corpus
from trainables.corpora.features import list_feature_sets
from trainables.corpora.opening import official_test, open_cached
from trainables.corpora.pictures import find_stores
from trainables.corpora.shards.array import open_places
from trainables.corpora.shards.shard import ARRAY
from trainables.corpora.shards.waveforms import open_store
from trainables.corpora.split_record import record_path
from trainables.corpora.splits import digest
from trainables.errors import InputError
from trainables.support.cache import write_whole
from trainables.support.evictable import is_held


@dataclass(frozen=True)
class Prepared:
    """What opening a corpus without its recordings needs, beside its files in the cache.

    Attributes:
        fingerprint: the corpus's.
        source: the name of its source.
        pictures: the path of each recording's picture or video on the machine that has it, by the recording's name.
        pictures_digest: the digest of these files.
    """

    fingerprint: str
    source: str
    pictures: Mapping[str, str]
    pictures_digest: str


def write_description(corpus: Corpus) -> Path:
    """Describe a corpus in a file of its folder in the cache, for `open_prepared`, and return the file."""
    pictures = {name: str(path) for name, path in corpus.pictures.items()}
    text = json.dumps(asdict(Prepared(corpus.fingerprint, corpus.source, pictures, corpus.digest_pictures())))
    path = corpus.folder / f"prepared-{digest(text)[:12]}.json"
    write_whole(path, text.encode())
    return path


def list_prepared_files(corpus: Corpus) -> list[Path]:
    """Return the files that `open_prepared` and the trials of this sweep need of a corpus.

    They are the shards of its clips and pictures, the features that this process has opened, the judges, and everything
    else that was computed from the corpus, such as the baselines.
    """
    home = corpus.folder.parents[1]
    features = set(list_feature_sets(home))
    files = [
        path
        for path in corpus.folder.iterdir()
        if path.is_file() and not path.name.startswith(".") and (path not in features or is_held(path))
    ]
    stores = [
        open_store(home, corpus.source, corpus.clip_format),
        *find_stores(home, corpus.source, corpus.clip_format),
    ]
    for store in stores:
        for places in corpus.folder.glob(f"{store.folder.name}*.npz"):
            if open_places(places, store) is not None:
                with np.load(places) as loaded:
                    files += [store.folder / f"{name}{ARRAY}" for name in loaded["names"].tolist()]
    # For a driver that goes on with the sweep elsewhere: recordings keep their splits.
    records = [record_path(home, source) for source in (corpus.source, official_test(corpus.source))]
    return sorted({*files, *(record for record in records if record.exists())})


def open_prepared(settings: Mapping[str, Any], description: Path, home: Path) -> Corpus:
    """Open a corpus on a machine that has what `list_prepared_files` has named, and not the recordings.

    Args:
        settings: the `corpus:` of the search space.
        description: the file that `write_description` has written.
        home: the folder of caches.

    Raises:
        InputError: a file is missing.
    """
    prepared = Prepared(**json.loads(description.read_text()))
    corpus = open_cached(settings, home, prepared.fingerprint, prepared.source)
    if corpus is None:
        raise InputError(
            f"{home}: the prepared corpus {prepared.fingerprint} is incomplete on this machine; delete its folder in "
            f"{home / 'cache'}, and it is fetched again"
        )
    pictures = {name: Path(path) for name, path in prepared.pictures.items()}
    return replace(corpus, pictures=pictures, pictures_digest=prepared.pictures_digest)
