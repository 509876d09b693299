"""`orchestrate try FILE`: run one trial in this process for a debugger; nothing is recorded.

An exception of a trainable keeps its traceback; only what a trainable says of the user's input (`InputError`), such as
that a command failed, is one message.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UserError
from orchestrator.plugins import additions, loader
from orchestrator.search_space.arms import select_arms
from orchestrator.state.home import open_home
from reports import vocabulary as words

if TYPE_CHECKING:
    from orchestrator.overview.screen import Screen
    from orchestrator.search_space.reader import Sweep
    from trainables.trainable import Trainable

BATCHES = 2
"""The number of training batches."""


def try_out(sweep: Sweep, home: Path, screen: Screen, arm_name: str | None) -> None:
    """Train the first trial of an arm on the CPU for `BATCHES` batches, validate and render it, and print its metrics.

    Args:
        sweep: the search space.
        home: the folder of all sweeps and of cached corpora.
        screen: prints everything.
        arm_name: the arm, such as `loss=vae`; None for the first one.

    Raises:
        UserError: there is no such arm, the trainable can't use its input, or its command failed.
    """
    from orchestrator.overview.trial_reference import resolve_trained_models
    from orchestrator.plugins.randomness import seed_everything
    from orchestrator.policy.without_results import derive_seed, first_point

    open_home(home)
    for remark in sweep.remarks:
        screen.say(remark)
    arm = select_arms(sweep.arms, arm_name, sweep.path)[0]
    space = sweep.space
    searched = first_point(sweep, arm)
    params = {**arm.compared, **arm.fixed, **searched}
    screen.say(f"{arm.name}: " + ", ".join(f"{name}={value}" for name, value in params.items()))
    corpus = loader.open_corpus(space.corpus, home, screen.progress) if space.corpus else None
    if corpus is not None:
        corpus = additions.add_to_corpus(corpus, sweep.judges, space.metrics)
    settings = resolve_trained_models(sweep, loader.config_values(sweep.declaration, params), home, corpus)
    # Only this arm is prepared: others may need files that are missing, such as pretrained weights.
    prepared = loader.prepare(sweep.trainable, [settings], corpus, screen.progress, space.objective.metric)
    for name, score in prepared.judges.items():
        screen.say(words.describe_judge(name, score))
    seed = derive_seed(space.seed, "search", 0)
    seed_everything(seed)
    config = sweep.trainable.Config(**settings)
    trainable = sweep.trainable(config, corpus, device="cpu", seed=seed)
    trainable.batches_per_epoch = BATCHES
    with _placed(trainable, space.budget.max_epochs):
        started = time.monotonic()
        metrics = trainable.step()
        screen.say(f"one step of {BATCHES} batches, with validation: {time.monotonic() - started:.1f} s")
        for name, value in sorted(metrics.items()):
            screen.say(f"  {name:28} {value:.6g}")
        if corpus is not None:
            media = trainable.render(corpus.probes(space.media.clips))
            num_sounds, num_pictures = (len(media.audio), len(media.images)) if media else (0, 0)
            screen.say(f"rendered: {num_sounds} sounds, {num_pictures} pictures")


@contextlib.contextmanager
def _placed(trainable: Trainable, max_epochs: int) -> Iterator[None]:
    """Give a trainable a folder of its own, and close it in the end; what a command that failed wrote is kept."""
    folder = Path(tempfile.mkdtemp(prefix="orchestrate-try-"))
    is_kept = False
    trainable.place(folder, max_epochs)
    try:
        with loader.user_errors():
            yield
    except UserError as error:
        is_kept = any(folder.iterdir())
        advice = "; correct it, or run the command above by itself; nothing was recorded" if is_kept else ""
        raise UserError(f"{error}{advice}") from error
    finally:
        trainable.close()
        if not is_kept:
            shutil.rmtree(folder)
