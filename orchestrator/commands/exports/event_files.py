"""The trials of a sweep as TensorBoard's event files: a run for each trial."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import soundfile
from PIL import Image

from orchestrator.errors import UserError
from orchestrator.overview.snapshot import Snapshot, read_snapshot
from orchestrator.state.paths import MEDIA, trial_folder
from orchestrator.state.trial import Trial
from reports import vocabulary as words

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

Entry = tuple[int, float, "Summary"]
"""The epoch, the time in seconds since 1970, and the values."""
MOST_CHARACTERS = 100
"""The longest name of an arm in a folder's name."""


def write_event_files(home: Path, name: str, folder: Path, progress: Callable[[str, int, int], None]) -> str:
    """Write an event file for each trial: metrics by epoch, parameters, sounds and pictures.

    Args:
        home: the folder of all sweeps.
        name: the sweep.
        folder: gets a folder for each arm, and in it one for each trial.
        progress: shows how many trials are written.

    Returns:
        What was written, in words.

    Raises:
        UserError: there is no such sweep, it has no trial yet, or TensorBoard is not installed.
    """
    try:
        import tensorboard.summary.writer.event_file_writer  # noqa: F401
    except ImportError:
        raise UserError("--to tensorboard needs the package tensorboard; install it: pip install tensorboard") from None
    snapshot = read_snapshot(home, name)
    trials = list(snapshot.ledger.trials.values())
    if not trials:
        raise UserError(f"{name}: has no trial yet; wait for the first one")
    for index, trial in enumerate(trials):
        progress("event files", index, len(trials))
        arm = re.sub(r"[^\w.,= -]", "-", trial.arm)[:MOST_CHARACTERS]
        _write_trial(snapshot, trial, folder / (arm or "trials") / f"{trial.number:04d}")
    progress("event files", len(trials), len(trials))
    return words.amount(len(trials), "trial")


def _write_trial(snapshot: Snapshot, trial: Trial, folder: Path) -> None:
    """Write the event file of a trial into a folder of its own.

    TensorBoard's own writer is used, not that of `torch.utils.tensorboard`, which encodes sounds again.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    try:
        entries = [_describe_start(trial), *_list_scalars(snapshot, trial), *_list_media(snapshot, trial)]
        for epoch, time_s, summary in entries:
            writer.add_event(Event(step=epoch, wall_time=time_s, summary=summary))
    finally:
        writer.close()


def _list_scalars(snapshot: Snapshot, trial: Trial) -> Iterator[Entry]:
    """Yield the metrics of each epoch, and those of the test split at the best epoch."""
    rows = [(row["epoch"], row["ts"] / 1000, row["metrics"]) for row in snapshot.ledger.read_rows(trial)]
    best_row = trial.curve.best_row
    if trial.test and best_row is not None:
        rows.append((best_row["epoch"], (trial.evaluated_ms or best_row["ts"]) / 1000, trial.test))
    from tensorboard.compat.proto.summary_pb2 import Summary

    for epoch, time_s, metrics in rows:
        values = [Summary.Value(tag=metric, simple_value=value) for metric, value in metrics.items()]
        yield epoch, time_s, Summary(value=values)


def _describe_start(trial: Trial) -> Entry:
    """Return the trial's parameters for the page HPARAMS."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    parameters = {
        name: value if isinstance(value, bool | int | float | str) else json.dumps(value)
        for name, value in {**trial.params, "seed (trial)": trial.seed, "arm": trial.arm}.items()
    }
    start_s = trial.asked_ms / 1000
    # Its bytes, because without TensorFlow the two modules have different classes for one message.
    message = hparams_pb(parameters, trial_id=str(trial.number), start_time_secs=start_s)
    return 0, start_s, Summary.FromString(message.SerializeToString())


def _list_media(snapshot: Snapshot, trial: Trial) -> Iterator[Entry]:
    """Yield the sounds and pictures of the epochs that were rendered, and those of each rendering of `evaluate:`."""
    folder = trial_folder(snapshot.ledger.folder, trial.number)
    media = [path for path in sorted((folder / MEDIA).glob("*")) if "." not in path.name]
    for path in [*media, *(folder / rendering["folder"] for rendering in trial.renderings)]:
        try:
            record: Mapping[str, Any] = json.loads((path / words.ARTIFACT_CLIPS).read_text())
        except FileNotFoundError:
            # `orchestrate clean` deleted it, or a trial that runs has just replaced it.
            continue
        # All epochs of a clip are steps of one tag; the best epoch and renderings have tags of their own.
        prefix = "" if path.name.startswith("epoch_") else f"{path.name}/"
        for file in sorted(path.iterdir()):
            if file.suffix in (".wav", ".png"):
                summary = _describe_file(file, prefix)
                yield record["epoch"], file.stat().st_mtime, summary


def _describe_file(file: Path, prefix: str) -> Summary:
    """Return a sound or a picture with the bytes of its file."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    if file.suffix == ".wav":
        information = soundfile.info(file)
        sound = Summary.Audio(
            sample_rate=information.samplerate,
            num_channels=information.channels,
            length_frames=information.frames,
            encoded_audio_string=file.read_bytes(),
            content_type="audio/wav",
        )
        return Summary(value=[Summary.Value(tag=f"{prefix}{file.stem}", audio=sound)])
    with Image.open(file) as opened:
        width, height, channels = opened.width, opened.height, len(opened.getbands())
    picture = Summary.Image(width=width, height=height, colorspace=channels, encoded_image_string=file.read_bytes())
    return Summary(value=[Summary.Value(tag=f"{prefix}{file.stem}", image=picture)])
