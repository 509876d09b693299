"""The part of `loader` that is about the judges and metrics that a search space adds.

An `InputError` of trainables is raised as a `UserError`. The registries are imported only for search spaces that add
something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UserError
from orchestrator.plugins import user_files
from orchestrator.plugins.corpora import user_errors
from trainables.support.progress import Progress, silent

if TYPE_CHECKING:
    from pydantic import BaseModel

    from trainables.corpora.corpus import Corpus
    from trainables.trainable import Declaration, Metric

OWN_JUDGE = "own"
"""The entry of `judges:` for the judge that is trained on the corpus; it always judges."""
AUGMENT = "augment"
"""The corpus judge's only setting: names of augmentations that are joined by +."""


def register_judge_file(path: Path) -> list[str]:
    """Import a file, and return the names of the judges that it registers.

    Raises:
        UserError: the file is missing or can't be imported.
    """
    from trainables.components.judges.plugin import JUDGES

    user_files.check_file(path, (), defines_trainable=False)
    module = user_files.import_outside(path)
    with user_errors():
        return [name for name in JUDGES if JUDGES.owner(name) == module.__name__]


@user_errors()
def judge_model(name: str) -> type[BaseModel]:
    """Return the model of a judge's settings.

    Raises:
        UserError: there is no judge of this name.
    """
    from trainables.components.judges.plugin import JUDGES

    return JUDGES[name].Settings


@user_errors()
def check_augment(names: str) -> None:
    """Check the names of augmentations, which are joined by +.

    Raises:
        UserError: there is no such augmentation.
    """
    from trainables.components.judges.registries import AUGMENTATIONS

    for name in names.split("+"):
        AUGMENTATIONS.require_known(name)


def exclude_own(judges: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the added judges: all but the own one, which is among a sweep's judges where it has settings."""
    return [judge for judge in judges if judge["name"] != OWN_JUDGE]


@user_errors()
def needs_weights(name: str) -> bool:
    """Return whether a judge needs a file of weights."""
    from trainables.components.judges.plugin import JUDGES

    return JUDGES[name].needs_weights


@user_errors()
def judge_modality(name: str) -> str:
    """Return what a judge judges: `sound` or `picture`."""
    from trainables.components.judges.plugin import JUDGES

    return JUDGES.traits(name).modality


def judged_modality(declaration: type[Declaration]) -> str | None:
    """Return what the added judges of a trainable's trials judge, `sound` or `picture`; None if they judge nothing."""
    from trainables.components.assessment.added_metrics import OWN_PROBABILITY

    if OWN_PROBABILITY not in declaration.METRICS:
        return None
    return "picture" if declaration.GENERATES is not None and declaration.GENERATES[1] == "image" else "sound"


@user_errors()
def check_metric(name: str) -> str:
    """Return what a metric compares, `sounds` or `embeddings`.

    Raises:
        UserError: there is no metric of this name.
    """
    from trainables.components.assessment.added_metrics import METRICS

    return METRICS.traits(name).of


def added_metrics(
    declaration: type[Declaration], judges: Sequence[Mapping[str, Any]], metrics: Sequence[str]
) -> dict[str, Metric]:
    """Return the metrics that the judges and metrics of a search space add to those of its trainable, by name."""
    judges = exclude_own(judges)
    if not judges and not metrics:
        return {}
    from trainables.components.assessment.added_metrics import describe_added

    modality = judged_modality(declaration)
    if modality is None:
        return {}
    names = [str(judge["name"]) for judge in judges]
    return describe_added(declaration.METRICS, names, metrics, "picture" if modality == "picture" else "sound")


def reports_added(names: Sequence[str]) -> bool:
    """Return whether a trial that reports these metrics is also assessed by added judges and metrics."""
    from trainables.components.assessment.added_metrics import OWN_PROBABILITY

    return OWN_PROBABILITY in names


def add_to_corpus(corpus: Corpus, judges: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Corpus:
    """Return a corpus whose trials and baselines are also assessed by these judges and metrics.

    The corpus judge, if it is among them, is trained with its setting `augment`.
    """
    if not judges and not metrics:
        return corpus
    from trainables.corpora.additions import Additions

    added = tuple(dict(judge) for judge in exclude_own(judges))
    augment = [str(judge[AUGMENT]).split("+") for judge in judges if judge["name"] == OWN_JUDGE]
    return replace(corpus, additions=Additions(added, tuple(metrics), tuple(augment[0]) if augment else ()))


@user_errors()
def score_judges(corpus: Corpus | None, progress: Progress = silent) -> dict[str, dict[str, Any]]:
    """Return what each added judge of a corpus recognizes of real clips, by the judge's name.

    Args:
        corpus: the corpus, with its additions.
        progress: receives the progress.

    Returns:
        For each judge `id`, `accuracy`, `chance`, `recordings`, `ms_per_clip`, `features` (of its embedding), `clips`
        (that it judges after an epoch, at most) and `deaf` (whether guessing could be as accurate).

    Raises:
        UserError: a judge can't be loaded, or its answers can't be used.
    """
    if corpus is None or not corpus.additions.judges:
        return {}
    from trainables.components.judges.panel import open_panel

    scores = {}
    panel = open_panel(corpus, "sound", progress) | open_panel(corpus, "picture", progress)
    for judge in panel.values():
        score = judge.score_real_clips()
        scores[judge.name] = {
            **vars(score),
            "id": judge.id,
            "features": judge.train_embeddings.shape[1],
            "clips": judge.max_clips,
            "deaf": score.is_at_chance,
        }
    return scores


def check_objective_judge(metric: str, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that the objective is not a metric of a judge that is no better than chance on real clips.

    Args:
        metric: the objective.
        scores: what each added judge recognizes of real clips (see `score_judges`).

    Raises:
        UserError: it is.
    """
    for name, score in scores.items():
        if score["deaf"] and metric.startswith(f"val/{name}_"):
            raise UserError(
                f"objective.metric: {metric}: judge {name} can't tell the classes of this corpus apart: it is right "
                f"for {score['accuracy']:.2f} of {score['recordings']} real recordings, and guessing for "
                f"{score['chance']:.2f}; choose a metric of another judge"
            )
