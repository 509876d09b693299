"""Every word that a run is written to MLflow with, and read back by: tags, metrics, outcomes, paths of artifacts.

Other people's queries rely on these words: one is never renamed, and its meaning never changes.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final

ROLE_SWEEP: Final = "sweep"
"""The parent run of a sweep."""
ROLE_TRIAL: Final = "trial"
"""One trial, whatever the number of its attempts."""
ROLE_EVALUATION: Final = "evaluation"
"""One rendering of a trained model, judged by itself."""

OUTCOME_RUNNING: Final = "running"
"""It runs now."""
OUTCOME_COMPLETED: Final = "completed"
"""The trial spent its whole budget; the sweep has nothing left to do."""
OUTCOME_PRUNED: Final = "pruned"
"""ASHA stopped it, since others of its arm did better."""
OUTCOME_DIVERGED: Final = "diverged"
"""Its numbers left the range in which training makes sense."""
OUTCOME_FAILED: Final = "failed"
"""Something broke."""
OUTCOME_INTERRUPTED: Final = "interrupted"
"""Its driver stopped or died first; the same command goes on."""

CAUSE_NONE: Final = "none"
"""It neither diverged nor failed."""
CAUSE_OOM: Final = "oom"
"""Memory ran out, on the machine or on the graphics card."""
CAUSE_ERROR: Final = "error"
"""The code raised an exception."""
CAUSE_TIMEOUT: Final = "timeout"
"""It took longer than the limit, or stood still."""
CAUSE_NODE: Final = "node"
"""The worker or its machine died."""
CAUSE_NONFINITE: Final = "nonfinite"
"""A metric was NaN or infinite."""
CAUSE_BLOWUP: Final = "blowup"
"""The loss rose far above where it had been."""
CAUSE_COLLAPSE: Final = "collapse"
"""The output became the same for every input."""

STAGE_SEARCH: Final = "search"
"""To find good parameters."""
STAGE_CONFIRM: Final = "confirm"
"""To run a good configuration again with a fresh seed."""

TAG_ROLE: Final = "orchestrate.role"
"""Tag: one of `ROLE_…`."""
TAG_SWEEP: Final = "orchestrate.sweep"
"""Tag: the sweep's name."""
TAG_SWEEP_ID: Final = "orchestrate.sweep_id"
"""Tag: what tells this sweep from another of the same name, in another home or after its folder was deleted."""
TAG_ARM: Final = "orchestrate.arm"
"""Tag of a trial: its arm, such as `loss=vae`."""
TAG_TRIAL: Final = "orchestrate.trial"
"""Tag of a trial: its number within the sweep."""
TAG_TRIAL_ID: Final = "orchestrate.trial_id"
"""Tag of a trial: tells it from any other that ever had its number, such as one of a log that was lost."""
TAG_OUTCOME: Final = "orchestrate.outcome"
"""Tag: one of `OUTCOME_…`."""
TAG_CAUSE: Final = "orchestrate.cause"
"""Tag of a trial: one of `CAUSE_…`."""
TAG_REASON: Final = "orchestrate.reason"
"""Tag: the outcome in words."""
TAG_ATTEMPT: Final = "orchestrate.attempt"
"""Tag of a trial: how many attempts it has taken."""
TAG_EPOCHS: Final = "orchestrate.epochs"
"""Tag of a trial: epochs trained. A tag, since a param can't grow when a trial is extended."""
TAG_CODE: Final = "orchestrate.code"
"""Tag of a trial: the fingerprint of the code that its last attempt ran."""
TAG_JUDGE: Final = "orchestrate.judge"
"""Tag: which judge heard it; trials of different judges are not compared."""
TAG_STAGE: Final = "orchestrate.stage"
"""Tag of a trial: one of `STAGE_…`."""
TAG_SOURCE: Final = "orchestrate.source"
"""Tag of a trial: who chose its parameters (`startup`, `tpe`, `confirm`)."""
TAG_RENDERING: Final = "orchestrate.rendering"
"""Tag of an evaluation: how its model was rendered, such as `phase=griffin_lim`."""
TAG_CONFIRMS: Final = "orchestrate.confirms"
"""Tag of a trial of the confirm stage: the trial whose configuration it runs again."""
TAG_GIT_DIRTY: Final = "orchestrate.git_dirty"
"""Tag: whether the working tree had uncommitted changes (`true`, `false`)."""
TAG_CORPUS: Final = "orchestrate.corpus"
"""Tag: the corpus's name."""
TAG_CORPUS_FINGERPRINT: Final = "orchestrate.corpus_fingerprint"
"""Tag: what tells this content of the corpus from another."""
TAG_COMMAND: Final = "orchestrate.command"
"""Tag of a sweep: the command line that started it last."""
TAG_HOST: Final = "orchestrate.host"
"""Tag of a sweep: the machine of its driver."""
TAG_VERSION_PREFIX: Final = "orchestrate.version."
"""Tags of a sweep: `orchestrate.version.torch` and so on."""

TAG_LEFT_OUT: Final = "orchestrate.left_out"
"""Tag: metrics, params and tags of a run that MLflow did not take, each with the reason; absent where it took all."""

TAG_GIT_COMMIT: Final = "mlflow.source.git.commit"
"""MLflow's own tag; its pages show it as the run's version."""
TAG_NOTE: Final = "mlflow.note.content"
"""MLflow's own tag: the run's description, in Markdown."""
TAG_PARENT: Final = "mlflow.parentRunId"
"""MLflow's own tag: the run id of the sweep."""

TRAIN_PREFIX: Final = "train/"
"""Metrics of training, once an epoch, at step = epoch (1, 2, …)."""
VAL_PREFIX: Final = "val/"
"""Metrics of the validation split, once an epoch."""
SOUND_PREFIX: Final = "val/sound_"
"""Metrics of evaluations: of the sounds of the whole validation split, means over recordings."""
SIDE_INFO: Final = "val/sound_side_info_floats"
"""Metric of evaluations: numbers of each clip that its sound was told for free; above 0 it is an oracle."""
SOUND_METRICS: Final = (
    "val/sound_mel_lsd_db",
    "val/sound_judge_probability",
    "val/sound_judge_accuracy",
    "val/sound_fvu",
    SIDE_INFO,
)
"""Those that people read first."""
TEST_PREFIX: Final = "test/"
"""Metrics of the test split, once: of the confirm stage, and of the trials of `budget.seeds`."""
EPOCH_S: Final = "time/epoch_s"
"""Metric: how long an epoch took, its validation included."""
TRIAL_S: Final = "time/trial_s"
"""Metric: how long all of a trial's epochs took, at its end."""
BEST_PREFIX: Final = "best/"
"""What a trial had at its best epoch: `best/val_fvu` is `val/fvu` there. At the end, at step 0; a
trial that was extended or retried has another one at step 1 for its next end, and so on."""
BEST_EPOCH: Final = "best/epoch"
"""Metric: the best epoch by the objective."""

JUDGE_PROBABILITY: Final = "val/judge_probability"
"""Metric: mean probability that the judge gives to the true class; it orders trials."""
JUDGE_ACCURACY: Final = "val/judge_accuracy"
"""Metric: how often the judge hears the true class; it is what people read."""
FVU: Final = "val/fvu"
"""Metric: fraction of variance unexplained on the fixed grid, in log-power nats; comparable across arms."""

ACCURACY: Final = "val/accuracy"
"""Metric of classifiers: how often the true class is the most probable one."""
FID: Final = "val/fid"
"""Metric of what makes images: Fréchet distance to the training images, in the embeddings of the judge of images."""
LISTEN_PREFIX: Final = "listen/"
"""Metrics that listeners gave."""
MOS: Final = "listen/mos"
"""Metric of trials and evaluations: mean opinion score from 1 to 5. Beside it are `listen/mos_low` and
`listen/mos_high`, the 95 % interval, and `listen/mos_ratings`."""
MOS_AGREEMENT: Final = "listen/mos_agreement"
"""Metric of a sweep: Krippendorff's ordinal alpha of its listeners' ratings, where there are two or more."""
ABX_ACCURACY: Final = "listen/abx_accuracy"
"""Metric: how often listeners told this system from the others of the test; 0.5 is guessing. Beside it are
`listen/abx_accuracy_low` and `_high`, the 95 % interval, and `listen/abx_answers`."""
ABX_ORIGINAL: Final = "listen/abx_original_accuracy"
"""Metric: how often listeners told this system from the original; otherwise as `listen/abx_accuracy`."""

VAL_LOSS: Final = "val/loss"
"""Metric: the trial's own loss on the validation split; never ranked across arms."""

PARAM_SEED: Final = "seed"
"""Param: what a trial's randomness comes from."""

ARTIFACT_SEARCH_SPACE: Final = "search_space.yaml"
"""Artifact of a sweep: the search space as it was run."""
ARTIFACT_SWEEP: Final = "sweep.json"
"""Artifact of a sweep: what was compared with what and by which metrics, its arms, what was searched, the reference
lines, the versions and the command; all that a report needs beside the runs."""
ARTIFACT_LISTEN: Final = "listen.html"
"""Artifact of a sweep: the best trial of each arm, side by side, with sound; one file that needs no other."""
ARTIFACT_LISTENING: Final = "listening"
"""Artifacts of a sweep: `listening/mos-3f2a91c0aa.html` with the results of a listening test, `.json` its answers."""
ARTIFACT_REPORT: Final = "report.html"
"""Artifact of a sweep: its report, one file that needs no other."""
ARTIFACT_CONFIG: Final = "config.yaml"
"""Artifact of a trial: its whole configuration."""
ARTIFACT_CLIPS: Final = "clips.json"
"""Artifact of a trial: the table of probe clips at the best epoch, with pictures."""
ARTIFACT_PER_RECORDING: Final = "per_recording.csv"
"""Artifact of an evaluated trial: a row a recording of the test split."""
ARTIFACT_PER_RECORDING_VALIDATION: Final = "per_recording_validation.csv"
"""Artifact of an evaluation: the same of the validation split."""
ARTIFACT_AUDIO: Final = "audio"
"""Artifacts of a trial: `audio/epoch_05/*.wav`, how the probe clips sounded then."""
SPECTROGRAM_PREFIX: Final = "spectrogram/"
"""Key of a picture in MLflow's image charts: `spectrogram/dog_1`."""
IMAGE_PREFIX: Final = "image/"
"""The same of pictures that are no spectrograms: what was seen, and what was made of a sound."""
CLIP_NAME: Final = "clip"
"""Column of the table of clips: the clip's name, with which the stems of its sounds begin."""
CLIP_SPECTROGRAM: Final = "spectrogram"
"""Column of the table of clips: the stem of the picture beside it."""
CLIP_IMAGE: Final = "image"
"""Column of the table of clips: the stem of a picture that shows what was seen or made, whatever else is on it."""
ORIGINAL: Final = "original"
"""End of the stem of a probe clip as it is: `dog_1_original.wav`."""
RECONSTRUCTION: Final = "reconstruction"
"""End of the stem of a probe clip as a trial makes it: `dog_1_reconstruction.wav`."""


def read(objective: str, metrics: Container[str]) -> list[str]:
    """The objective and, of the metrics that there are, those that people read beside it."""
    beside = (JUDGE_ACCURACY, ACCURACY, FVU, FID)
    return list(dict.fromkeys([objective, *(name for name in beside if name in metrics)]))


def best_name(metric: str) -> str:
    """The name of a validation metric's value at the best epoch: `val/fvu` → `best/val_fvu`."""
    return BEST_PREFIX + metric.replace("/", "_")


def in_words(metric: str) -> str:
    """A validation metric as people read it: `val/judge_accuracy` → `judge accuracy`."""
    return metric.removeprefix(VAL_PREFIX).replace("_", " ")


def counted(number: int, noun: str) -> str:
    """A number of things: `1 epoch`, `2 epochs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


UNSAFE = re.compile(
    r"[^/\w.\- :]"  # What MLflow refuses anywhere in a name.
    r"|^/|(?<=/)/|/$"  # What no path has in its shortest form: empty parts,
    r"|^\.(?=\.)|(?:^|(?<=/))\.(?=\.?(?:/|$))"  # `.` and `..` as parts, and two dots in front.
    r"|_(?=0x)"  # What would read as an escape.
)
ESCAPED = re.compile("_0x([0-9a-f]*)_")


def to_mlflow(name: str) -> str:
    """Return the name under which MLflow keeps a metric or param; one that MLflow accepts stays as it is.

    Every character that MLflow refuses becomes its code point: `val/acc@5` → `val/acc_0x40_5`. No two names become the
    same one, and `from_mlflow` reads them back.
    """
    escaped = UNSAFE.sub(lambda character: f"_0x{ord(character[0]):x}_", name)
    return escaped or "_0x_"


def from_mlflow(name: str) -> str:
    """Return the name of a metric or param that MLflow keeps under this one."""
    return ESCAPED.sub(_unescape, name)


def _unescape(escaped: re.Match[str]) -> str:
    code = int(escaped[1] or "0", 16)
    if not escaped[1]:
        return ""
    # Somebody else's name may only look like one of ours.
    return chr(code) if code <= 0x10FFFF else escaped[0]
