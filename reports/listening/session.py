"""Running a blind listening test of a sweep: prepare, serve, export, import answers, and log the results to MLflow."""

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
from reports.listening.design import ABX, CATCH_ITEMS, MOS, MUSHRA, PREFER, Method
from reports.listening.export_import import export_test, import_answers, read_answers_file
from reports.listening.mlflow import report_mlflow_errors
from reports.listening.mushra import HIGH_RATING, MAX_SHARE
from reports.listening.page import render_results
from reports.listening.preferences import MAX_WRONG
from reports.listening.preparation import ListeningTest, Say, prepare, tests_of
from reports.listening.results import REFERENCE_FLOOR, lines_of, summarize_test
from reports.listening.server import HOST, PORT, make_server, take_port
from reports.listening.sources import find_sources
from reports.listening.statistics import describe_abx_threshold, describe_mos_precision
from reports.listening.tables import Results

if TYPE_CHECKING:
    from mlflow import MlflowClient

METHODS: dict[str, Method] = {"mos": MOS, "abx": ABX, "mushra": MUSHRA, "prefer": PREFER}
RESULTS_PAGE = "results.html"
RULES: dict[Method, str] = {
    MUSHRA: f"Listeners who rate the hidden original below {HIGH_RATING}, or the 7 kHz anchor above it, on more than "
    f"{100 * MAX_SHARE:.0f} % of the pages are left out (ITU-R BS.1534-3).",
    PREFER: f"The next pair is the one that says most about the order. {CATCH_ITEMS} answers are attention checks: "
    f"listeners who fail more than {100 * MAX_WRONG:.0f} % of them are left out.",
}
"""The rules by which listeners are left out, for the methods that have their own."""


@dataclass(frozen=True)
class Options:
    """The options of `orchestrate listen`.

    Attributes:
        method: `mos`, `abx`, `mushra` or `prefer`.
        top: compare the best trials of at most this many arms.
        trials: numbers of trials to compare instead.
        vary: a setting; compare the renderings of one trial that differ in it instead.
        against_original: whether an ABX test compares each system with the original instead of with each other.
        export: file to which the test is written instead of serving it.
        answers: file from which answers are imported instead of serving a test.
        port: port of the server, on this machine only.
        import_command: the command that imports answers, without their file.
    """

    method: str = MOS
    top: int = 5
    trials: tuple[int, ...] = ()
    vary: str | None = None
    against_original: bool = False
    export: Path | None = None
    answers: Path | None = None
    port: int = PORT
    import_command: str = "orchestrate listen NAME --import"


def listen(client: MlflowClient, sweep: str, folder: Path, options: Options, say: Say) -> None:
    """Serve a listening test until Ctrl-C and then report its results, or export the test, or import answers.

    Args:
        client: client of the MLflow that has the sweep.
        sweep: name of the sweep.
        folder: the folder with all tests of the sweep and their answers.
        options: what is compared, and how.
        say: function that prints a line.

    Raises:
        ReportError: the options don't fit the sweep, a file or port can't be used, or MLflow does not answer.
    """
    _check(options)
    if options.answers:
        test, answers_file = read_answers_file(options.answers, folder)
        with Answers(test) as answers:
            result = import_answers(answers, test, answers_file, options.answers)
            say(f"{result.listener}: {words.amount(result.new, 'new answer')}, {result.known} that were there already")
            _report_results(client, test, answers, say)
        return
    test = make_test(client, sweep, folder, options, say)
    if options.export:
        size = export_test(test, options.export)
        say(f"{options.export} ({size / 1e6:.1f} MB) is the whole test: send it to listeners, and import the answers")
        say(f"that they send back with  {options.import_command} ANSWERS.json")
        return
    with Answers(test) as answers:
        serve(test, answers, options.port, say)
        _report_results(client, test, answers, say)


def make_test(client: MlflowClient, sweep: str, folder: Path, options: Options, say: Say) -> ListeningTest:
    """Return the test for these options, which is made if there is none yet, and print what it consists of.

    Args:
        client: client of the MLflow that has the sweep.
        sweep: name of the sweep.
        folder: the folder with all tests of the sweep.
        options: what is compared, and how.
        say: function that prints a line.
    """
    sources = find_sources(client, sweep, top=options.top, trials=options.trials, vary=options.vary)
    method = METHODS[options.method]
    test = prepare(client, sources, folder, method, against_original=options.against_original, say=say)
    for line in describe_test(test):
        say(line)
    # Votes of earlier preference tests about these trials count in this one, too; its results say so.
    for other in tests_of(folder) if method != PREFER else ():
        count = len(read_answers(folder / other / ANSWERS))
        if count and other != test.design.id and other.startswith(method):
            say(f"  note: {other}, of other systems or sounds, has {words.amount(count, 'answer')}, not counted here")
    return test


def describe_test(test: ListeningTest) -> list[str]:
    """Return lines about a test: its systems, clips and notes, and the precision to expect."""
    design = test.design
    items_per_group = len(design.items) // len({item.systems for item in design.items})
    lines = [f"{design.id}: {design.num_answers} answers a listener; {words.amount(len(design.clips), 'clip')} of"]
    lines += [f"  {judged.name}" for judged in design.systems.values()]
    lines += [f"  note: {note}" for note in design.notes]
    if design.method == ABX:
        return [*lines, describe_abx_threshold(items_per_group)]
    if design.method in RULES:
        return [*lines, RULES[design.method]]
    rule = f"Listeners who rate the hidden original below {REFERENCE_FLOOR} on average are left out of the means."
    return [*lines, describe_mos_precision(items_per_group), rule]


def serve(test: ListeningTest, answers: Answers, port: int, say: Say) -> None:
    """Serve the test on a port of this machine until Ctrl-C.

    Raises:
        ReportError: the port is in use or not allowed.
    """
    server = make_server(test, answers)
    with take_port(port) as socket:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            # uvicorn does not handle the signal of a closed terminal.
            signal.signal(signal.SIGHUP, server.handle_exit)
        address = f"http://{HOST}:{socket.getsockname()[1]}"
        say(f"The test is at  {address}  and its results so far at  {address}/results  (not for listeners).")
        say("Ctrl-C ends it; the same command resumes it.")
        # uvicorn completes the open requests, and then raises the signal again.
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[socket])


def log_results(client: MlflowClient, results: Results, answers: Path) -> None:
    """Log results to MLflow: metrics to the runs of the systems, the page and all answers to the sweep's run.

    Args:
        client: client of the MLflow that has the runs.
        results: the results; metrics that have not changed are not logged again.
        answers: the test's file of answers.
    """
    from mlflow.entities import Metric

    now_ms, design = time.time_ns() // 1_000_000, results.design
    names = {key: judged.name for key, judged in design.systems.items()}
    answer_log = {"systems": names, "answers": [json.loads(line) for line in answers.read_text().splitlines()]}
    with report_mlflow_errors(client):
        # Nothing is lost where both have the sweep's run: `_sweep_metrics` begins with its metrics in the results.
        for run_id, values in {**results.metrics, **_sweep_metrics(results)}.items():
            logged = client.get_run(run_id).data.metrics
            changed = {name: value for name, value in values.items() if not _is_equal(logged.get(name), value)}
            client.log_batch(run_id, [Metric(name, value, now_ms, 0) for name, value in changed.items()])
        stem = f"{words.ARTIFACT_LISTENING}/{design.id}"
        client.log_text(design.run_id, render_results(results), f"{stem}.html")
        client.log_text(design.run_id, json.dumps(answer_log, indent=1), f"{stem}.json")


def _sweep_metrics(results: Results) -> dict[str, dict[str, float]]:
    """Return the metrics of the sweep's run: the listeners' agreement among each other, and that of each metric."""
    design = results.design
    values = dict(results.metrics.get(design.run_id, {}))
    for agreement in results.metric_agreements:
        name = words.to_mlflow(f"{words.METRIC_AGREEMENT}{design.method}/{agreement.metric}")
        values |= {name: agreement.tau, f"{name}_low": agreement.low, f"{name}_high": agreement.high}
    return {design.run_id: values} if values else {}


def _check(options: Options) -> None:
    if options.method not in METHODS:
        raise ReportError(f"--method {options.method}: is unknown; {', '.join(METHODS)} are allowed")
    if options.top < 1:
        raise ReportError(f"--top {options.top}: must be at least 1")
    if options.export and options.answers:
        raise ReportError("--export and --import: only one of them at a time")
    if options.against_original and options.method != ABX:
        raise ReportError("--against-original: is for --method abx; mos and mushra always have the original in them")


def _report_results(client: MlflowClient, test: ListeningTest, answers: Answers, say: Say) -> None:
    """Print the results so far, write their page, and log them to MLflow."""
    results = summarize_test(test, answers.stored)
    for line in lines_of(results):
        say(line)
    if not answers.stored:
        return
    page = test.folder / RESULTS_PAGE
    page.write_text(render_results(results))
    try:
        log_results(client, results, answers.path)
    except ReportError as error:
        raise ReportError(
            f"{error}; all answers are in {answers.path}, and the same command sends the results"
        ) from None
    names = {name for values in results.metrics.values() for name in values}
    say(f"Written to MLflow: {', '.join(sorted(names))}")
    say(f"Page of the results: {page}")


def _is_equal(logged: float | None, value: float) -> bool:
    """Return whether a metric was logged with this value; NaN equals NaN."""
    return logged is not None and (logged == value or (math.isnan(logged) and math.isnan(value)))
