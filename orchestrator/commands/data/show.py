"""`orchestrate data show`: a page that shows what is in a corpus."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from orchestrator.commands.data.wall import WallClip, choose_clips, count_durations, count_levels
from orchestrator.errors import OrchestratorError, UserError
from orchestrator.plugins.corpora import count_clips, open_corpus, skip_reasons
from orchestrator.plugins.surveys import draw_spectrogram, open_frames, survey_corpus
from orchestrator.state.home import REPORTS, open_home
from orchestrator.storage import durable
from reports import vocabulary as words

if TYPE_CHECKING:
    from trainables.corpora.corpus import Corpus
    from trainables.corpora.shards.array import ShardedArray
    from trainables.corpora.survey import Survey

MOST_LISTED = 50
"""Longer lists are cut: the page has to be opened quickly."""


class Leaks(OrchestratorError):
    """A sound is in two splits of a corpus."""

    exit_code = 1


@dataclass(frozen=True)
class Pair:
    """Two recordings with the same sound: their names and splits."""

    first: str
    first_split: str
    second: str
    second_split: str
    is_leak: bool


def show(
    settings: Mapping[str, Any],
    home: Path,
    out: Path | None,
    progress: Callable[[str, int, int], None],
    say: Callable[[str], None],
) -> None:
    """Write a page about a corpus, and name the sounds that are in two of its splits.

    Args:
        settings: the settings of the corpus.
        home: the folder of caches.
        out: the file; None: `reports/corpus-NAME-FINGERPRINT.html` in the home.
        progress: is called while the corpus is read and measured.
        say: prints a line.

    Raises:
        UserError: the corpus can't be used, or the home or the file can't be written.
        Leaks: a sound is in two splits; the page is written.
    """
    open_home(home)
    corpus = open_corpus(settings, home, progress)
    survey = survey_corpus(corpus, progress)
    path = out or home / REPORTS / f"corpus-{corpus.name}-{corpus.fingerprint}.html"
    page = make_page(corpus, survey, open_frames(corpus, progress))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_whole(path, page)
    except OSError as error:
        raise UserError(
            f"{path}: the page can't be written ({error.strerror}); give another file: --out FILE"
        ) from None
    say(f"{words.amount(len(corpus.clips), 'clip')} of {corpus.name}: {path}")
    leaks = [pair for pair in list_pairs(corpus, survey) if pair.is_leak]
    for pair in leaks[:MOST_LISTED]:
        say(f"leak: {pair.first} ({pair.first_split}) sounds like {pair.second} ({pair.second_split})")
    if leaks:
        raise Leaks(
            f"corpus {corpus.name}: {words.amount(len(leaks), 'sound')} in two splits; delete one of each two files, or"
            " give both the same group in a manifest: a model is tested on sounds that it was trained on"
        )


def list_pairs(corpus: Corpus, survey: Survey) -> list[Pair]:
    """Return the pairs of recordings with the same sound, leaks first."""
    names, splits = corpus.clips["recording"].astype(str), corpus.clips["split"]
    return [
        Pair(names[pair.first], splits[pair.first], names[pair.second], splits[pair.second], pair.is_leak)
        for pair in survey.duplicates
    ]


def make_page(corpus: Corpus, survey: Survey, frames: ShardedArray | None) -> str:
    """Return the page: tables, histograms, what may be wrong, and some clips of each class to be seen and heard."""
    environment = Environment(
        loader=PackageLoader("orchestrator.commands.data", "templates"), autoescape=True, undefined=StrictUndefined
    )
    pairs = list_pairs(corpus, survey)
    classes, shown = choose_clips(corpus)
    return environment.get_template("corpus.html").render(
        corpus=corpus,
        counts=count_clips(corpus),
        most_clips=max(row.clips for row in count_clips(corpus)),
        histograms=[count_levels(survey.rms_db), count_durations(corpus)],
        leaks=[pair for pair in pairs if pair.is_leak][:MOST_LISTED],
        duplicates=[pair for pair in pairs if not pair.is_leak][:MOST_LISTED],
        num_leaks=sum(pair.is_leak for pair in pairs),
        quiet=_list(corpus, survey.is_quiet, survey.rms_db),
        clipped=_list(corpus, survey.is_clipped, survey.peak_db),
        skipped=skip_reasons(corpus),
        unseen=_list_unseen(corpus, frames),
        most_listed=MOST_LISTED,
        classes=classes,
        num_classes=len(corpus.classes),
        wall=[_make_clip(corpus, survey, frames, clip) for clip in shown],
        amount=words.amount,
        decibels=_format_db,
    )


def _format_db(value_db: float, digits: int) -> str:
    return f"{value_db:z.{digits}f} dB".replace("-", "−")


def _list_unseen(corpus: Corpus, frames: ShardedArray | None) -> list[str]:
    """Return the recordings whose picture or video can't be read."""
    if frames is None:
        return []
    names = corpus.clips["recording"][frames.is_absent].astype(str).unique()
    return [name for name in names if name in corpus.pictures]


def _list(corpus: Corpus, is_listed: NDArray[np.bool_], values_db: NDArray[np.float32]) -> list[tuple[str, float]]:
    rows = np.flatnonzero(is_listed).tolist()
    listed = corpus.clips.iloc[rows]
    names = [f"{clip} of {recording}" for clip, recording in zip(listed["clip"], listed["recording"], strict=True)]
    return list(zip(names, values_db[rows].tolist(), strict=True))


def _make_clip(corpus: Corpus, survey: Survey, frames: ShardedArray | None, clip: int) -> WallClip:
    row = corpus.clips.iloc[clip]
    sound = io.BytesIO()
    soundfile.write(sound, np.asarray(corpus.waveforms()[clip]), corpus.rate_hz, format="FLAC")
    frame = None if frames is None else np.asarray(frames[clip]).transpose(1, 2, 0)
    return WallClip(
        name=str(row["clip"]),
        recording=str(row["recording"]),
        class_name=str(row["class"]),
        split=str(row["split"]),
        level_db=float(survey.rms_db[clip]),
        sound=_to_uri("audio/flac", sound.getvalue()),
        spectrogram=_encode_drawing(draw_spectrogram(corpus, clip)),
        frame=None if frame is None or not frame.any() else _encode_photo(frame),
    )


def _encode_drawing(pixels: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    # 64 steps are enough for the colour scale of a spectrogram.
    Image.fromarray(pixels).quantize(64).save(file, "PNG")
    return _to_uri("image/png", file.getvalue())


def _encode_photo(pixels: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=85)
    return _to_uri("image/jpeg", file.getvalue())


def _to_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
