"""A listening test as one file to send to somebody, and the answers that come back."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from reports.errors import ReportError
from reports.listening.answers import Answers, Refusal, Vote, check_vote, listener_code
from reports.listening.design import Step, file_session
from reports.listening.page import render_test
from reports.listening.preparation import ListeningTest, load_test, tests_of


class AnswersFile(BaseModel):
    """What an exported page saves; `copy` is the page that it comes from."""

    model_config = ConfigDict(extra="forbid")
    test: StrictStr
    of_copy: StrictStr = Field(alias="copy")
    listener: StrictStr
    answers: list[Vote]


@dataclass(frozen=True)
class Imported:
    """What came of a file: how many of its answers were new, and how many were there already."""

    listener: str
    new: int
    known: int


def export_test(test: ListeningTest, path: Path) -> int:
    """Write the test as one HTML file that needs nothing else; whoever has it can take it under a code of theirs.

    Returns:
        Its size in bytes.

    Raises:
        ReportError: the file can't be written.
    """
    copy = secrets.token_hex(8)
    steps = test.plan(file_session(copy))
    sounds = sorted({test.sound(step.item.clip, system) for step in steps for system in step.slots.values()})
    names = {sound: f"s{number}" for number, sound in enumerate(sounds)}
    exported = {
        "copy": copy,
        "steps": [_exported_step(test, step, names) for step in steps],
        "sounds": {name: base64.b64encode(sound.read_bytes()).decode() for sound, name in names.items()},
    }
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(render_test(test, exported))
        temporary.replace(path)
    except OSError as error:
        raise ReportError(
            f"--export {path}: can't be written there ({error.strerror}); give a file in another folder"
        ) from None
    return path.stat().st_size


def read_answers_file(path: Path, folder: Path) -> tuple[ListeningTest, AnswersFile]:
    """An answers file and the test that it belongs to.

    Args:
        path: the file.
        folder: of all tests of the sweep.

    Raises:
        ReportError: it can't be read, or none of these tests asked for it.
    """
    try:
        answers_file = AnswersFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ReportError(f"--import {path}: can't be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ReportError(
            f"--import {path}: is no answers file of a listening test ({place}: {first['msg']}); give the JSON file "
            "that the exported page saved"
        ) from None
    test_ids = tests_of(folder)
    if answers_file.test not in test_ids:
        raise ReportError(
            f"--import {path}: answers of another test, {answers_file.test[:40]!r}; {folder} has "
            f"{', '.join(test_ids) or 'none'}"
        )
    return load_test(folder / answers_file.test), answers_file


def import_answers(answers: Answers, test: ListeningTest, answers_file: AnswersFile, path: Path) -> Imported:
    """Take all answers of a file, or none; those that were taken before count once.

    Raises:
        ReportError: one of them is refused, or contradicts what the same listener said before.
    """
    session = file_session(answers_file.of_copy)
    try:
        listener = listener_code(answers_file.listener)
        steps = [check_vote(test, session, vote) for vote in answers_file.answers]
    except Refusal as refusal:
        raise ReportError(f"--import {path}: {refusal}; nothing was taken from this file") from None
    new: dict[str, tuple[Step, int | str]] = {}
    for vote, step in zip(answers_file.answers, steps, strict=True):
        before = answers.answer_of(listener, vote.item)
        if before is None and vote.item not in new:
            new[vote.item] = (step, vote.answer)
        elif vote.answer != (before if before is not None else new[vote.item][1]):
            raise ReportError(
                f"--import {path}: {listener!r} has answered otherwise before; if this is somebody else, give them "
                "another code under listener in this file; nothing was taken from it"
            )
    for step, answer in new.values():
        answers.add(listener, step, answer, session)
    return Imported(listener, len(new), len(answers_file.answers) - len(new))


def _exported_step(test: ListeningTest, step: Step, names: Mapping[Path, str]) -> dict[str, Any]:
    sounds = {slot: names[test.sound(step.item.clip, system)] for slot, system in step.slots.items()}
    return {"item": step.item.id, "token": step.token, "sounds": sounds}
