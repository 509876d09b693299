"""`orchestrate check FILE`: run the contract tests on the user's own trainable, losses and corpus."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from orchestrator.errors import OrchestratorError, UserError
from orchestrator.messages import describe, join_path
from orchestrator.plugins import loader
from orchestrator.plugins.corpora import clip_format_of
from orchestrator.plugins.loader import Progress, silent
from orchestrator.plugins.user_imports import may_define_trainable
from orchestrator.search_space.arms import select_arms
from orchestrator.search_space.reader import read_search_space
from orchestrator.state.home import open_home

if TYPE_CHECKING:
    from orchestrator.plugins.contracts import Check, Part
    from trainables.corpora.corpus import Corpus
    from trainables.trainable import Trainable

DEMO: Mapping[str, Any] = {"name": "demo", "recordings_per_class": 3}
"""The corpus for a Python file, which names none itself. It is as small as it can be: most of the time of a check goes
into its judge, its baselines and its epochs, and no promise needs more."""
SEARCH_SPACES = (".yaml", ".yml")


class ContractBroken(OrchestratorError):
    """The checked code breaks a contract."""

    exit_code = 1


def check(
    path: Path,
    home: Path,
    overrides: Sequence[str],
    arm_name: str | None,
    say: Callable[[str], None],
    show: Callable[[str], AbstractContextManager[object]] = contextlib.nullcontext,
    progress: Progress = silent,
) -> None:
    """Test every promise of the code that a file brings, and print a line for each.

    Args:
        path: a search space, or a Python file with a trainable or with parts such as losses.
        home: the folder of all sweeps and of cached corpora.
        overrides: `key=value` pairs that replace values of the search space.
        arm_name: the arm whose settings the trainable gets; None for the first one.
        say: prints a line.
        show: shows a line about the current step, for the length of a block.
        progress: receives the progress of what comes before the checks, such as reading the corpus.

    Raises:
        UserError: the file can't be read or imported.
        ContractBroken: a promise does not hold.
    """
    open_home(home)
    is_search_space = path.suffix in SEARCH_SPACES
    if is_search_space:
        checks = _check_search_space(path, home, overrides, arm_name, progress)
    else:
        checks = _check_python_file(path, home, progress)
    num_checked, broken = 0, 0
    for one in checks:
        with show(f"checks {one}"):
            outcome = one.run()
        num_checked += 1
        broken += not outcome.holds
        say(f"{'ok    ' if outcome.holds else 'BROKEN'}  {outcome.subject}: {outcome.promise}")
        if not outcome.holds:
            say(f"        {outcome.problem}")
    if broken:
        raise ContractBroken(f"{path}: {broken} of {num_checked} promises do not hold")
    say(f"{path}: all {num_checked} promises hold")


def _check_search_space(
    path: Path, home: Path, overrides: Sequence[str], arm_name: str | None, progress: Progress
) -> Iterator[Check[Any]]:
    from orchestrator.plugins import contracts

    shipped = contracts.registered_parts()
    sweep = read_search_space(path, overrides=overrides)
    arm = select_arms(sweep.arms, arm_name, sweep.path)[0]
    corpus = loader.open_corpus(shrink(sweep.space.corpus), home, progress) if sweep.space.corpus else None
    if corpus is not None:
        yield from contracts.list_checks(f"corpus {corpus.name}", corpus, contracts.CORPUS)
    yield from _check_parts(shipped, lambda: corpus or loader.open_corpus(DEMO, home, progress), sweep.space.corpus)
    settings = loader.config_values(sweep.declaration, arm.middle())
    yield from _check_trainable(path, sweep.trainable, settings, corpus, progress)


def shrink(corpus: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a corpus for a check: a part of the demo corpus is enough, others stay as they are."""
    return {**corpus, **DEMO} if corpus["name"] == "demo" else dict(corpus)


def _check_python_file(path: Path, home: Path, progress: Progress) -> Iterator[Check[Any]]:
    from orchestrator.plugins import contracts

    path = path.resolve()
    shipped = contracts.registered_parts()
    loader.check_component(path)
    loader.load_components([path])
    has_trainable = may_define_trainable(path)
    if not has_trainable and contracts.registered_parts() == shipped:
        raise UserError(
            f"{path}: defines no trainable and registers no part, so there is nothing to check; for a corpus, check a "
            "search space that names it"
        )
    yield from _check_parts(shipped, lambda: loader.open_corpus(DEMO, home, progress))
    if has_trainable:
        trainable = loader.load_trainable(str(path), path.parent)
        corpus = loader.open_corpus(DEMO, home, progress) if _needs_corpus(trainable) else None
        yield from _check_trainable(path, trainable, {}, corpus, progress)


def _needs_corpus(trainable: type[Trainable]) -> bool:
    """Try whether a trainable can be constructed and trained for two batches without a corpus."""
    from orchestrator.plugins import contracts

    try:
        with contextlib.closing(contracts.TrainableCase(trainable, {}, None).make()) as without_corpus:
            without_corpus.batches_per_epoch = 2
            without_corpus.step()
    except ValidationError:
        # Its settings are refused, which is said without a corpus too.
        return False
    except Exception:
        # A user's code may raise anything on a missing corpus. If the error has another cause, the checks that follow
        # meet it again and report it.
        return True
    return False


def _check_parts(
    shipped: set[Part], open_corpus: Callable[[], Corpus], settings: Mapping[str, Any] | None = None
) -> Iterator[Check[Any]]:
    """Check the parts that have been registered since `shipped` was read, on clips of a corpus with these settings."""
    from orchestrator.plugins import contracts

    for part in sorted(contracts.registered_parts() - shipped, key=str):
        yield from contracts.part_checks(part, open_corpus, clip_format_of(settings))


def _check_trainable(
    path: Path, trainable: type[Trainable], settings: Mapping[str, Any], corpus: Corpus | None, progress: Progress
) -> Iterator[Check[Any]]:
    from orchestrator.plugins import contracts

    case = contracts.TrainableCase(trainable, settings, corpus)
    try:
        config = case.config
    except ValidationError as error:
        reasons = "; ".join(f"{join_path(detail['loc'])}: {describe(detail)}" for detail in error.errors())
        raise UserError(
            f"{path}: the settings to check {trainable.__name__} with are refused: {reasons}; put small ones into "
            f"{trainable.__name__}.DEBUG, or check a search space that sets them"
        ) from None
    loader.prepare(trainable, [config.model_dump()], corpus, progress)
    yield from contracts.list_checks(trainable.__name__, case, contracts.TRAINABLE)
