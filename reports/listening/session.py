"""A blind listening test of a sweep: prepare it, hold it, take what comes back, and write to MLflow what it says."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reports import vocabulary as words
from reports.errors import ReportError
from reports.listening.answers import ANSWERS, Answers, read_answers
from reports.listening.design import ABX, MOS, Method
from reports.listening.exchange import export_test, import_answers, read_answers_file
from reports.listening.mlflow import telling
from reports.listening.page import render_results
from reports.listening.preparation import ListeningTest, Say, prepare, tests_of
from reports.listening.results import REFERENCE_FLOOR, Results, lines_of, summarize
from reports.listening.server import HOST, PORT, make_server, take_port
from reports.listening.sources import find_sources
from reports.listening.statistics import foresee_abx, foresee_mos

if TYPE_CHECKING:
    from mlflow import MlflowClient

METHODS: dict[str, Method] = {"mos": MOS, "abx": ABX}
RESULTS_PAGE = "results.html"


@dataclass(frozen=True)
class Options:
    """What is listened to, and how.

    Attributes:
        method: mos or abx.
        top: the best trials of at most so many arms.
        trials: these trials instead.
        vary: the renderings of one trial that differ in this setting instead.
        against_original: in an ABX test, tell systems from the original instead of from each other.
        export: write the test to this file, and hold none here.
        answers: take the answers of this file, and hold no test here.
        port: of the server, on this machine only.
    """

    method: str = MOS
    top: int = 5
    trials: tuple[int, ...] = ()
    vary: str | None = None
    against_original: bool = False
    export: Path | None = None
    answers: Path | None = None
    port: int = PORT


def listen(client: MlflowClient, sweep: str, folder: Path, options: Options, say: Say) -> None:
    """Hold a listening test until Ctrl-C, export it, or import answers; results so far are said and written to MLflow.

    Args:
        client: of the MLflow that has the sweep.
        sweep: its name.
        folder: where all tests of the sweep and their answers are kept.
        options: what is listened to, and how.
        say: gets every line for the user.

    Raises:
        ReportError: something can't be done as asked, or MLflow doesn't answer.
    """
    _check(options)
    if options.answers:
        test, answers_file = read_answers_file(options.answers, folder)
        with Answers(test) as answers:
            taken = import_answers(answers, test, answers_file, options.answers)
            say(f"{taken.listener}: {words.amount(taken.new, 'new answer')}, {taken.known} that were there already")
            _conclude(client, test, answers, say)
        return
    test = make_test(client, sweep, folder, options, say)
    if options.export:
        size = export_test(test, options.export)
        say(f"{options.export} ({size / 1e6:.1f} MB) is the whole test: send it, and take the answers that come back")
        say(f"with  orchestrate listen {sweep} --import ANSWERS.json")
        return
    with Answers(test) as answers:
        serve(test, answers, options.port, say)
        _conclude(client, test, answers, say)


def make_test(client: MlflowClient, sweep: str, folder: Path, options: Options, say: Say) -> ListeningTest:
    """The test that is asked for, made now or before; what it consists of and what it can show is said."""
    sources = find_sources(client, sweep, top=options.top, trials=options.trials, vary=options.vary)
    method = METHODS[options.method]
    test = prepare(client, sources, folder, method, against_original=options.against_original, say=say)
    for line in introduction(test):
        say(line)
    for other in tests_of(folder):
        count = len(read_answers(folder / other / ANSWERS))
        if count and other != test.design.id and other.startswith(method):
            say(f"  note: {other}, of other systems or sounds, has {words.amount(count, 'answer')}, not counted here")
    return test


def introduction(test: ListeningTest) -> list[str]:
    """What a test consists of, and beforehand what its answers can show."""
    design = test.design
    items_per_group = len(design.items) // len({item.systems for item in design.items})
    lines = [f"{design.id}: {len(design.items)} answers a listener; {words.amount(len(design.clips), 'clip')} of"]
    lines += [f"  {judged.name}" for judged in design.systems.values()]
    lines += [f"  note: {note}" for note in design.notes]
    if design.method == ABX:
        return [*lines, foresee_abx(items_per_group)]
    rule = f"Who rates the hidden original below {REFERENCE_FLOOR} on average is left out of the means."
    return [*lines, foresee_mos(items_per_group), rule]


def serve(test: ListeningTest, answers: Answers, port: int, say: Say) -> None:
    """Hold the test on a port of this machine until Ctrl-C.

    Raises:
        ReportError: the port can't be had.
    """
    server = make_server(test, answers)
    with take_port(port) as taken:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            # A closed terminal, of which uvicorn knows nothing.
            signal.signal(signal.SIGHUP, server.handle_exit)
        address = f"http://{HOST}:{taken.getsockname()[1]}"
        say(f"The test is at  {address}  and its results so far at  {address}/results  (not for listeners).")
        say("Ctrl-C ends it; the same command goes on.")
        # uvicorn ends what is under way, and then raises the signal again.
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[taken])


def record(client: MlflowClient, results: Results, answers: Path) -> None:
    """Write results to MLflow: metrics to the runs of the systems, the page and all answers to the sweep's run.

    Args:
        client: of the MLflow that has the runs.
        results: what is written; a value that is there already is not written again.
        answers: the test's file of answers.
    """
    from mlflow.entities import Metric

    now_ms, design = time.time_ns() // 1_000_000, results.design
    names = {key: judged.name for key, judged in design.systems.items()}
    answer_log = {"systems": names, "answers": [json.loads(line) for line in answers.read_text().splitlines()]}
    with telling(client):
        for run_id, values in results.metrics.items():
            before = client.get_run(run_id).data.metrics
            changed = {name: value for name, value in values.items() if not _is_same(before.get(name), value)}
            client.log_batch(run_id, [Metric(name, value, now_ms, 0) for name, value in changed.items()])
        stem = f"{words.ARTIFACT_LISTENING}/{design.id}"
        client.log_text(design.run_id, render_results(results), f"{stem}.html")
        client.log_text(design.run_id, json.dumps(answer_log, indent=1), f"{stem}.json")


def _check(options: Options) -> None:
    if options.method not in METHODS:
        raise ReportError(f"--method {options.method}: only {' and '.join(METHODS)} are known")
    if options.top < 1:
        raise ReportError(f"--top {options.top}: must be at least 1")
    if options.export and options.answers:
        raise ReportError("--export and --import: only one of them at a time")
    if options.against_original and options.method != ABX:
        raise ReportError("--against-original: belongs to --method abx; a mos test has the original in it anyway")


def _conclude(client: MlflowClient, test: ListeningTest, answers: Answers, say: Say) -> None:
    results = summarize(test.design, answers.given)
    for line in lines_of(results):
        say(line)
    if not answers.given:
        return
    page = test.folder / RESULTS_PAGE
    page.write_text(render_results(results))
    try:
        record(client, results, answers.path)
    except ReportError as error:
        raise ReportError(
            f"{error}; all answers are in {answers.path}, and the same command sends the results"
        ) from None
    say(f"Written to MLflow: {', '.join(sorted({name for of in results.metrics.values() for name in of}))}")
    say(f"Page of the results: {page}")


def _is_same(before: float | None, now: float) -> bool:
    return before is not None and (before == now or (math.isnan(before) and math.isnan(now)))
