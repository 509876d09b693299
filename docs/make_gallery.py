"""Make docs/gallery: a page for each question of the search spaces, with its answer, sounds and pictures.

`make gallery RUNS=runs` calls it. The answers are those of recorded sweeps. Sweeps without a completed trial are left
out. The pages of sweeps that the home does not have stay as they are.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from mlflow import MlflowClient

from docs.gallery_pages import LIST, match_sweeps, read_pages
from orchestrator.commands.init import find_examples
from orchestrator.commands.report import find_unique_name
from orchestrator.errors import UserError
from orchestrator.state.home import sweep_names
from orchestrator.tracking.connection import connect
from reports import vocabulary as words
from reports.errors import ReportError
from reports.listening.sounds import match_loudness, read_sound
from reports.page.content import Report, read_report
from reports.page.data_uris import encode_sound
from reports.page.html import matrix_table
from reports.page.images import read_images
from reports.page.probes import encode_spectrogram, log_mel_db
from reports.page.tables import format_value
from reports.runs.artifacts import download, list_files
from reports.runs.frames import SweepRuns

FOLDER = Path(__file__).parent / "gallery"
TEMPLATES = Path(__file__).parent
PAGE, INDEX = "gallery_page.jinja", "gallery_index.jinja"
MAX_ENTRIES = {"arms": 6, "renderings": 8}
"""Arms, or renderings of one trial, in a row; of more, the better ones."""
MAX_CLIPS = 3
MAX_BYTES = 200_000
"""The most bytes of a page's sounds and pictures, so that 14 questions take less than 3 MB; the first row is always
there."""
MAX_SENTENCES = 3
END = f"_{words.RECONSTRUCTION}.wav"


@dataclass(frozen=True)
class Card:
    """A sound with its spectrogram, or a picture, as data URIs.

    Attributes:
        label: `original`, the arm, or the rendering.
        value: what it reached, as text; empty for the original.
        picture: the spectrogram or the picture.
        audio: the sound; empty where the trial makes pictures.
    """

    label: str
    value: str
    picture: str
    audio: str = ""

    @property
    def num_bytes(self) -> int:
        """The size of the card in the page."""
        return len(self.picture) + len(self.audio)


@dataclass(frozen=True)
class Entry:
    """A trial, or a rendering of one, that is shown next to others.

    Attributes:
        label: the arm or the rendering.
        run_id: its run in MLflow.
        value: what it reached, as text.
    """

    label: str
    run_id: str
    value: str


@dataclass(frozen=True)
class Row:
    """A probe clip: the original, if there is one, and what the arms or the renderings of one trial make of it."""

    clip: str
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Question:
    """A question with the answer of a recorded sweep.

    Attributes:
        name: the sweep, which is the name of its page.
        text: the question.
        command: the command that runs the sweep.
        answers: the findings, a sentence each; the first one is the answer.
        table: the arms and the baselines, by column.
        rows: the clips.
        of_renderings: whether the cards of a row are renderings of one trial.
    """

    name: str
    text: str
    command: str
    answers: Sequence[str]
    table: Sequence[dict[str, Any]]
    rows: Sequence[Row]
    of_renderings: bool

    @property
    def columns(self) -> list[str]:
        """The columns of the table that any row has."""
        names = dict.fromkeys(name for row in self.table for name, value in row.items() if value not in (None, ""))
        return [name for name in names if name not in ("is_reference", "trials", "time", "trainings")]


def make_gallery(home: Path, folder: Path) -> list[Path]:
    """Write a page for each sweep of a home that answers a question, and the list of them; return the paths.

    Raises:
        UserError: no sweep of the home answers a question.
    """
    questions: list[Question] = []
    with connect(home) as client:
        for name, example in match_sweeps(sweep_names(home)):
            try:
                report = read_report(client, find_unique_name(home, name))
            except ReportError as error:
                print(f"{name}: left out ({error})", file=sys.stderr)
                continue
            if len(report.runs.best_trials()):
                questions.append(_read_question(report, name, example))
    if not questions:
        raise UserError(
            f"{home}: has no finished sweep of a search space in search_spaces/; run one, such as "
            "orchestrate sweep search_spaces/vae.yaml"
        )
    folder.mkdir(exist_ok=True)
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    templates.filters |= {"plain": format_value, "breakable": make_breakable}
    page = templates.get_template(PAGE)
    written = [_write(folder / f"{question.name}.html", page.render(question=question)) for question in questions]
    listed = templates.get_template(INDEX).render(pages=read_pages(folder))
    return [_write(folder / LIST, listed), *written]


def make_breakable(label: str) -> Markup:
    """Return a label that a narrow column breaks behind `=` and `_`, and not within a word."""
    return Markup(re.sub("([=_])(?=.)", r"\1<wbr>", str(escape(label))))


def _read_question(report: Report, name: str, example: str) -> Question:
    runs = report.runs
    command = f"orchestrate sweep search_spaces/{example}.yaml"
    arms = _choose_arms(runs)
    renderings = _choose_renderings(runs) if len(arms) == 1 else []
    return Question(
        name=name,
        text=find_examples()[example].question,
        command=command if name == example else f"{command} --name {name}",
        answers=report.summary[:MAX_SENTENCES],
        table=matrix_table(report),
        rows=list(_limit(_read_pictures(runs, arms) or _read_sounds(runs, renderings or arms))),
        of_renderings=bool(renderings),
    )


def _choose_arms(runs: SweepRuns) -> list[Entry]:
    """Return the best trial of each arm that is shown, in the order of the arms."""
    best = runs.best_trials()
    ranked = best.sort_values(runs.best_column, ascending=runs.mode == "min").head(MAX_ENTRIES["arms"])
    chosen = best.loc[[arm for arm in best.index if arm in ranked.index]].to_dict("records")
    return [_make_entry(runs, row, "arm", runs.best_column) for row in chosen]


def _choose_renderings(runs: SweepRuns) -> list[Entry]:
    """Return the renderings of the best trial of a sweep with one arm, the best first; none without `evaluate:`."""
    metric = words.SOUND_PREFIX + runs.metric.removeprefix(words.VAL_PREFIX)
    if metric not in runs.renderings:
        return []
    of_best = runs.renderings[runs.renderings["trial"].isin(runs.best_trials()["trial"])]
    ranked = of_best.sort_values(metric, ascending=runs.mode == "min").head(MAX_ENTRIES["renderings"])
    return [_make_entry(runs, row, "rendering", metric) for row in ranked.to_dict("records")]


def _make_entry(runs: SweepRuns, row: dict[Any, Any], label: str, metric: str) -> Entry:
    return Entry(str(row[label]), str(row["run_id"]), f"{words.label_of(runs.metric)} {row[metric]:.3f}")


def _read_pictures(runs: SweepRuns, arms: Sequence[Entry]) -> list[Row]:
    """Return the pictures of the arms, of sweeps that make any and no sounds."""
    generates = runs.record.get("metrics", {})
    if "val/fid" not in generates:
        return []
    values = {entry.label: entry.value for entry in arms}
    return [
        Row(clip, tuple(Card(arm, values[arm], picture) for arm, picture in by_arm.items() if arm in values))
        for clip, by_arm in list(read_images(runs).items())[:MAX_CLIPS]
    ]


def _read_sounds(runs: SweepRuns, entries: Sequence[Entry]) -> list[Row]:
    """Return the first clips that all entries with sounds have, equally loud."""
    clips = {entry.run_id: _list_clips(runs.client, entry.run_id) for entry in entries}
    audible = [entry for entry in entries if clips[entry.run_id]]
    if not audible:
        return []
    shared = set.intersection(*(clips[entry.run_id] for entry in audible))
    with tempfile.TemporaryDirectory() as folder:
        return [_read_row(runs, clip, audible, Path(folder)) for clip in sorted(shared)[:MAX_CLIPS]]


def _list_clips(client: MlflowClient, run_id: str) -> set[str]:
    return {path.removesuffix(END) for path in list_files(client, run_id) if path.endswith(END)}


def _read_row(runs: SweepRuns, clip: str, entries: Sequence[Entry], folder: Path) -> Row:
    sounds = {}
    original = f"{clip}_{words.ORIGINAL}.wav"
    if original in list_files(runs.client, entries[0].run_id):
        sounds[words.ORIGINAL] = read_sound(download(runs.client, entries[0].run_id, original, folder))
    for entry in entries:
        sounds[entry.label] = read_sound(download(runs.client, entry.run_id, clip + END, folder))
    values = {entry.label: entry.value for entry in entries}
    matched = match_loudness(sounds)[0]
    cards = [
        Card(label, values.get(label, ""), encode_spectrogram(log_mel_db(sound)), _encode(matched[label]))
        for label, sound in sounds.items()
    ]
    return Row(clip, tuple(cards))


def _encode(sound: Any) -> str:
    return encode_sound(sound, is_compressed=True)


def _limit(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the first rows that fit into a page, at least one."""
    num_bytes = 0
    for number, row in enumerate(rows):
        num_bytes += sum(card.num_bytes for card in row.cards)
        if number and num_bytes > MAX_BYTES:
            return
        yield row


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


if __name__ == "__main__":
    try:
        for written in make_gallery(Path(sys.argv[1]).expanduser().resolve(), FOLDER):
            print(f"{written.name}: {written.stat().st_size // 1000} kB")
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
