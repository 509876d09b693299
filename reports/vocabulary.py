"""The names under which runs are written to MLflow: tags, metrics, outcomes, paths of artifacts.

Queries of users rely on these names: none is ever renamed, and none ever changes its meaning.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

ROLE_SWEEP: Final = "sweep"
"""The parent run of a sweep."""
ROLE_TRIAL: Final = "trial"
"""The run of one trial; all attempts of a trial share it."""
ROLE_EVALUATION: Final = "evaluation"
"""The run of one rendering of a trained model, which is evaluated separately."""

OUTCOME_RUNNING: Final = "running"
"""The trial or the sweep is running."""
OUTCOME_COMPLETED: Final = "completed"
"""A trial that trained for its whole budget; a sweep that has nothing left to do."""
OUTCOME_PRUNED: Final = "pruned"
"""Pruning stopped the trial, because others of its arm did better."""
OUTCOME_DIVERGED: Final = "diverged"
"""The training became unstable or collapsed; the cause is `CAUSE_NONFINITE`, `CAUSE_BLOWUP` or `CAUSE_COLLAPSE`."""
OUTCOME_FAILED: Final = "failed"
"""The trial stopped because of an error; the cause is in `CAUSE_…`."""
OUTCOME_INTERRUPTED: Final = "interrupted"
"""Its driver stopped or died first; the same command resumes it."""

CAUSE_NONE: Final = "none"
"""The trial neither diverged nor failed."""
CAUSE_OOM: Final = "oom"
"""Memory ran out, on the machine or on the GPU."""
CAUSE_ERROR: Final = "error"
"""The code raised an exception."""
CAUSE_TIMEOUT: Final = "timeout"
"""The trial took longer than its time limit, or made no progress."""
CAUSE_OVER: Final = "over"
"""The trial completed before the end of its budget: its command ended by itself, or it improved no longer."""
CAUSE_NODE: Final = "node"
"""The worker or its machine died."""
CAUSE_NONFINITE: Final = "nonfinite"
"""A metric was NaN or infinite."""
CAUSE_BLOWUP: Final = "blowup"
"""The loss rose far above where it had been."""
CAUSE_COLLAPSE: Final = "collapse"
"""The output became the same for every input."""

STAGE_SEARCH: Final = "search"
"""The stage that searches for good parameters."""
STAGE_CONFIRM: Final = "confirm"
"""The stage that trains a good configuration again with a new seed."""

TAG_ROLE: Final = "orchestrate.role"
"""Tag: one of `ROLE_…`."""
TAG_SWEEP: Final = "orchestrate.sweep"
"""Tag: the sweep's name."""
TAG_SWEEP_ID: Final = "orchestrate.sweep_id"
"""Tag: the sweep's unique id; another sweep may have its name, in another home or after its folder was deleted."""
TAG_ARM: Final = "orchestrate.arm"
"""Tag of a trial: its arm, such as `loss=vae`."""
TAG_TRIAL: Final = "orchestrate.trial"
"""Tag of a trial: its number within the sweep."""
TAG_TRIAL_ID: Final = "orchestrate.trial_id"
"""Tag of a trial: its unique id; another trial may have had its number, such as one of a log that was lost."""
TAG_OUTCOME: Final = "orchestrate.outcome"
"""Tag: one of `OUTCOME_…`."""
TAG_CAUSE: Final = "orchestrate.cause"
"""Tag of a trial: one of `CAUSE_…`."""
TAG_REASON: Final = "orchestrate.reason"
"""Tag: the outcome in words."""
TAG_ATTEMPT: Final = "orchestrate.attempt"
"""Tag of a trial: how many attempts it has taken."""
TAG_ORIGIN: Final = "orchestrate.origin"
"""Tag of a trial: the trial of another sweep that has trained its epochs, such as `vae/7`; absent if it has itself."""
TAG_FRONT: Final = "orchestrate.front"
"""Tag of a trial of the search, in a sweep with several objectives: one of `FRONT_…`."""
FRONT_SWEEP, FRONT_ARM, FRONT_NO = "sweep", "arm", "no"
"""No trial of the sweep dominates it; none of its arm does; one does, or it has not ended, or lacks a value."""
TAG_EPOCHS: Final = "orchestrate.epochs"
"""Tag of a trial: epochs trained. A tag, since a param can't grow when a trial is extended."""
TAG_CODE: Final = "orchestrate.code"
"""Tag of a trial: the fingerprint of the code that its last attempt ran."""
TAG_JUDGE: Final = "orchestrate.judge"
"""Tag: the id of the judge that scored it; trials of different judges are not compared."""
TAG_STAGE: Final = "orchestrate.stage"
"""Tag of a trial: one of `STAGE_…`."""
TAG_SOURCE: Final = "orchestrate.source"
"""Tag of a trial: how its parameters were chosen (`startup`, `tpe`, `confirm`)."""
TAG_RENDERING: Final = "orchestrate.rendering"
"""Tag of an evaluation: how its model was rendered, such as `phase=griffin_lim`."""
TAG_CONFIRMS: Final = "orchestrate.confirms"
"""Tag of a trial of the confirm stage: the trial whose configuration it runs again."""
TAG_GIT_DIRTY: Final = "orchestrate.git_dirty"
"""Tag: whether the working tree had uncommitted changes (`true`, `false`)."""
TAG_CORPUS: Final = "orchestrate.corpus"
"""Tag: the corpus's name."""
TAG_CORPUS_FINGERPRINT: Final = "orchestrate.corpus_fingerprint"
"""Tag: a hash of the corpus's content."""
TAG_COMMAND: Final = "orchestrate.command"
"""Tag of a sweep: the command line that started it last."""
TAG_HOST: Final = "orchestrate.host"
"""Tag of a sweep: the machine of its driver."""
TAG_VERSION_PREFIX: Final = "orchestrate.version."
"""Tags of a sweep: `orchestrate.version.torch` and so on."""
TAG_LEFT_OUT: Final = "orchestrate.left_out"
"""Tag: metrics, params and tags of a run that MLflow rejected, each with the reason; absent if it rejected none."""
TAG_GIT_COMMIT: Final = "mlflow.source.git.commit"
"""MLflow's own tag: the commit; its pages show it as the run's version."""
TAG_NOTE: Final = "mlflow.note.content"
"""MLflow's own tag: the run's description, in Markdown."""
TAG_PARENT: Final = "mlflow.parentRunId"
"""MLflow's own tag: the run id of the sweep."""
TRAIN_PREFIX: Final = "train/"
"""Metrics of the training split, once an epoch, at step = epoch (1, 2, …)."""
VAL_PREFIX: Final = "val/"
"""Metrics of the validation split, once an epoch."""
SOUND_PREFIX: Final = "val/sound_"
"""Metrics of evaluations, of the rendered sounds of the whole validation split; means over recordings."""
SIDE_INFO: Final = "val/sound_side_info_floats"
"""Metric of evaluations: how many numbers of each original clip the rendering uses; above 0 it is an oracle."""
SOUND_METRICS: Final = (
    "val/sound_mel_lsd_db",
    "val/sound_judge_probability",
    "val/sound_judge_accuracy",
    "val/sound_fvu",
    SIDE_INFO,
)
"""The metrics of sounds that pages show."""
TEST_PREFIX: Final = "test/"
"""Metrics of the test split, computed once, for trials of the confirm stage and of `budget.seeds`."""
EPOCH_S: Final = "time/epoch_s"
"""Metric: duration of an epoch in seconds, validation included."""
TRIAL_S: Final = "time/trial_s"
"""Metric: duration of all epochs of a trial in seconds, logged at its end."""
BEST_PREFIX: Final = "best/"
"""Metrics at a trial's best epoch: `best/val_fvu` is `val/fvu` at that epoch. They are logged when the trial ends, at
step 0; a trial that is extended or retried logs them again at step 1 when it ends again, and so on."""
BEST_EPOCH: Final = "best/epoch"
"""Metric: the best epoch by the objective."""

LOG_PREFIX: Final = "param/log10_"
"""Metrics with the decimal logarithm of each parameter that was searched on a logarithmic scale: `param/log10_lr`."""

JUDGE_PROBABILITY: Final = "val/judge_probability"
"""Metric: mean probability that the judge gives to the true class; the usual objective."""
JUDGE_ACCURACY: Final = "val/judge_accuracy"
"""Metric: how often the judge's most probable class is the true one; easier to read than the probability."""
FVU: Final = "val/fvu"
"""Metric: fraction of variance unexplained, of the log-power spectrogram on the fixed grid; comparable across arms."""
ACCURACY: Final = "val/accuracy"
"""Metric of classifiers: how often the true class is the most probable one."""
FID: Final = "val/fid"
"""Metric of image generators: Fréchet distance to the training images in the embeddings of the judge of images."""
LISTEN_PREFIX: Final = "listen/"
"""Metrics from listening tests."""
MOS: Final = "listen/mos"
"""Metric of trials and evaluations: mean opinion score from 1 to 5. It comes with `listen/mos_low` and
`listen/mos_high`, the 95 % interval, and `listen/mos_ratings`."""
MOS_AGREEMENT: Final = "listen/mos_agreement"
"""Metric of a sweep: Krippendorff's ordinal alpha of the listeners' ratings, if there are two listeners or more."""
MUSHRA: Final = "listen/mushra"
"""Metric of trials and evaluations: mean rating from 0 to 100 in a MUSHRA test. It comes with `listen/mushra_low` and
`listen/mushra_high`, the 95 % interval, and `listen/mushra_ratings`."""
PREFERENCE: Final = "listen/preference"
"""Metric of trials and evaluations: Bradley–Terry strength in a preference test; the mean of its systems is 0. It
comes with `listen/preference_low` and `listen/preference_high`, the 95 % interval, and `listen/preference_votes`."""
METRIC_AGREEMENT: Final = "listen/agreement/"
"""Metrics of a sweep: Kendall's τ of a metric and the listeners' scores. `listen/agreement/mushra/val/fvu` is that of
`val/fvu` in the last MUSHRA test; it comes with its 95 % interval, `_low` and `_high`."""
ABX_ACCURACY: Final = "listen/abx_accuracy"
"""Metric: share of right answers in an ABX test of this system against the others; 0.5 is guessing. It comes with
`listen/abx_accuracy_low` and `_high`, the 95 % interval, and `listen/abx_answers`."""
ABX_ORIGINAL: Final = "listen/abx_original_accuracy"
"""Metric: the same against the original instead of the other systems."""

TRAIN_LOSS: Final = "train/loss"
"""Metric: the trial's own loss on the training split; not comparable across arms."""
VAL_LOSS: Final = "val/loss"
"""Metric: the trial's own loss on the validation split; not comparable across arms."""

PARAM_SEED: Final = "seed"
"""Param: a trial's random seed."""
TRIAL_COLUMNS: Final = ("arm", "stage", "source", "outcome", "cause", "seed", "epochs", "best_epoch", "seconds")
"""Columns of the plain table of trials, in CSV and in Python, that are neither settings nor metrics."""
FRONT: Final = "front"
"""Column of that table in sweeps with several objectives: one of `FRONT_…`; empty in the confirm stage."""

ARTIFACT_SEARCH_SPACE: Final = "search_space.yaml"
"""Artifact of a sweep: the search space as it was run."""
ARTIFACT_SWEEP: Final = "sweep.json"
"""Artifact of a sweep: what is compared and by which metrics, the arms, their search spaces, the baselines, …"""
ARTIFACT_LISTEN: Final = "listen.html"
"""Artifact of a sweep: a page to compare the sounds of each arm's best trial; self-contained."""
ARTIFACT_LISTENING: Final = "listening"
"""Artifacts of a sweep: `listening/mos-3f2a91c0aa.html` with the results of a listening test, `.json` its answers."""
ARTIFACT_REPORT: Final = "report.html"
"""Artifact of a sweep: its report; self-contained."""
ARTIFACT_CONFIG: Final = "config.yaml"
"""Artifact of a trial: its whole configuration."""
ARTIFACT_CLIPS: Final = "clips.json"
"""Artifact of a trial: the table of probe clips at the best epoch, with pictures."""
ARTIFACT_PICTURES: Final = "pictures.json"
"""Artifact of a trial: a table of the original and the reconstructed picture of each probe clip at the best epoch."""
ARTIFACT_PER_RECORDING: Final = "per_recording.csv"
"""Artifact of an evaluated trial: scores on the test split, one row per recording."""
ARTIFACT_PER_RECORDING_VALIDATION: Final = "per_recording_validation.csv"
"""Artifact of an evaluation: scores on the validation split, one row per recording."""
TABLE_OPTIONS: Final[Any] = {"dtype": {"class": str}, "keep_default_na": False, "na_values": [""]}
"""The options of `pandas.read_csv` for these tables: a class may be called 01 or NA."""
ARTIFACT_AUDIO: Final = "audio"
"""Artifacts of a trial: `audio/epoch_05/*.wav`, the probe clips as reconstructed at that epoch."""
SPECTROGRAM_PREFIX: Final = "spectrogram/"
"""Key of a picture in MLflow's image charts: `spectrogram/dog_1`."""
IMAGE_PREFIX: Final = "image/"
"""The same for other pictures: input images, and images that were generated from sounds."""
BEST_PICTURE_PREFIX: Final = "best_"
"""Prefix of the key of a picture at a trial's best epoch: `best_spectrogram/dog_1`. These pictures are at step 0 in
every trial, so that a chart shows those of several trials at once."""
CLIP_NAME: Final = "clip"
"""Column of the table of clips: the clip's name; the file names of its sounds begin with it."""
CLIP_SPECTROGRAM: Final = "spectrogram"
"""Column of the table of clips: the spectrograms; also how the file names of such pictures end."""
CLIP_IMAGE: Final = "image"
"""Column of the table of clips: input or generated images; also how the file names of such pictures end."""
ORIGINAL: Final = "original"
"""How the file name of an original probe clip ends: `dog_1_original.wav`; also the column with its picture alone."""
RECONSTRUCTION: Final = "reconstruction"
"""How the file name of a reconstruction ends: `dog_1_reconstruction.wav`; also the column with its picture alone."""


def headline_metrics(objectives: Iterable[str], metrics: Container[str], judges: Iterable[str] = ()) -> list[str]:
    """Return the objectives and, as far as `metrics` has them, the accuracies of judges, accuracy, FVU and FID."""
    beside = (JUDGE_ACCURACY, *(f"{VAL_PREFIX}{judge}_accuracy" for judge in judges), ACCURACY, FVU, FID)
    return list(dict.fromkeys([*objectives, *(name for name in beside if name in metrics)]))


def describe_judge(name: str, score: Mapping[str, Any]) -> str:
    """Return what an added judge recognizes of real clips, and what it costs, as a sentence."""
    hears = f"recognizes {score['accuracy']:.2f} of {score['recordings']} real validation recordings"
    sentence = f"Judge {name} {hears} ({score['chance']:.2f} by chance), {score['ms_per_clip']:.0f} ms a clip"
    return f"{sentence}: it is no better than chance, and no answer relies on it" if score["deaf"] else sentence


def setting_column(setting: str) -> str:
    """Return the column of a setting in the plain table of trials: `seed (setting)` where `seed` is another column."""
    return f"{setting} (setting)" if setting in ("trial", FRONT, *TRIAL_COLUMNS) else setting


def best_name(metric: str) -> str:
    """Return the name of a validation metric's value at the best epoch: `val/fvu` → `best/val_fvu`."""
    return BEST_PREFIX + metric.replace("/", "_")


def log_name(param: str) -> str:
    """Return the name of the metric with a parameter's decimal logarithm: `lr` → `param/log10_lr`."""
    return LOG_PREFIX + param


def label_of(metric: str) -> str:
    """Return the label of a validation metric: `val/judge_accuracy` → `judge accuracy`."""
    return metric.removeprefix(VAL_PREFIX).replace("_", " ")


def amount(number: int, noun: str) -> str:
    """Return a number with its noun in singular or plural: `1 epoch`, `2 epochs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


UNSAFE = re.compile(
    r"[^/\w.\- :]"  # Characters that MLflow rejects in names.
    r"|^/|(?<=/)/|/$"  # Names that are not normalized paths are rejected, too: those with empty parts,
    r"|^\.(?=\.)|(?:^|(?<=/))\.(?=\.?(?:/|$))"  # with `.` or `..` as a part, or with two dots in front.
    r"|_(?=0x)"  # A literal `_0x` would be read back as an escape sequence.
)
ESCAPED = re.compile("_0x([0-9a-f]*)_")


def to_mlflow(name: str) -> str:
    """Return the name under which a metric or param is stored in MLflow; a name that MLflow accepts is unchanged.

    Every character that MLflow rejects is replaced by its code point: `val/acc@5` → `val/acc_0x40_5`. The mapping is
    one-to-one; `from_mlflow` inverts it.
    """
    return UNSAFE.sub(lambda character: f"_0x{ord(character[0]):x}_", name) or "_0x_"


def from_mlflow(name: str) -> str:
    """Return the original name of a metric or param from its name in MLflow; inverts `to_mlflow`."""
    return ESCAPED.sub(_unescape, name)


def _unescape(escaped: re.Match[str]) -> str:
    code = int(escaped[1] or "0", 16)
    if not escaped[1]:
        return ""
    # Runs of other programs may contain what only looks like an escape sequence.
    return chr(code) if code <= 0x10FFFF else escaped[0]
