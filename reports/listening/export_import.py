"""Exporting a listening test as one HTML file for other listeners, and importing their answers."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from reports.atomic_file import write_whole
from reports.errors import ReportError
from reports.listening.answers import Answer, Answers, Refusal, Vote, by_system, check_vote, listener_code
from reports.listening.design import Step, file_session
from reports.listening.open_steps import steps_of_copy
from reports.listening.page import render_test
from reports.listening.preparation import ListeningTest, load_test, tests_of


class AnswersFile(BaseModel):
    """The file of answers that an exported page saves.

    Attributes:
        test: id of the test.
        of_copy: random id of the exported page; `copy` in the file.
        listener: code of the listener.
        answers: the answers.
    """

    model_config = ConfigDict(extra="forbid")
    test: StrictStr
    of_copy: StrictStr = Field(alias="copy")
    listener: StrictStr
    answers: list[Vote]


@dataclass(frozen=True)
class ImportResult:
    """The result of an import.

    Attributes:
        listener: code of the listener.
        new: number of new answers.
        known: number of answers that were stored before.
    """

    listener: str
    new: int
    known: int


def export_test(test: ListeningTest, path: Path) -> int:
    """Write a test as one self-contained HTML file, in which each listener enters a code.

    Returns:
        The file's size in bytes.

    Raises:
        ReportError: the file can't be written.
    """
    copy = secrets.token_hex(8)
    steps = steps_of_copy(test, copy)
    sounds = sorted({test.sound(step.item.clip, system) for step in steps for system in step.slots.values()})
    names = {sound: f"s{number}" for number, sound in enumerate(sounds)}
    exported = {
        "copy": copy,
        "steps": [_exported_step(test, step, names) for step in steps],
        "sounds": {name: base64.b64encode(sound.read_bytes()).decode() for sound, name in names.items()},
    }
    try:
        write_whole(path, render_test(test, exported))
    except OSError as error:
        raise ReportError(
            f"--export {path}: can't be written there ({error.strerror}); give a file in another folder"
        ) from None
    return path.stat().st_size


def read_answers_file(path: Path, folder: Path) -> tuple[ListeningTest, AnswersFile]:
    """Read an answers file and load the test that it belongs to.

    Args:
        path: the file.
        folder: the folder with all tests of the sweep.

    Raises:
        ReportError: the file can't be read, or its test is not in the folder.
    """
    try:
        answers_file = AnswersFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ReportError(f"--import {path}: can't be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ReportError(
            f"--import {path}: is not an answers file of a listening test ({place}: {first['msg']}); give the JSON "
            "file that the exported page saved"
        ) from None
    test_ids = tests_of(folder)
    if answers_file.test not in test_ids:
        raise ReportError(
            f"--import {path}: answers of another test, {answers_file.test[:40]!r}; {folder} has "
            f"{', '.join(test_ids) or 'none'}"
        )
    return load_test(folder / answers_file.test), answers_file


def import_answers(answers: Answers, test: ListeningTest, answers_file: AnswersFile, path: Path) -> ImportResult:
    """Store all answers of a file, or none; answers that are stored already don't count twice.

    Args:
        answers: the test's stored answers.
        test: the test.
        answers_file: content of the file.
        path: path of the file, for messages.

    Raises:
        ReportError: an answer is not accepted, or differs from an earlier one of the same listener.
    """
    session = file_session(answers_file.of_copy)
    try:
        listener = listener_code(answers_file.listener)
        steps = [check_vote(test, session, vote) for vote in answers_file.answers]
    except Refusal as refusal:
        raise ReportError(f"--import {path}: {refusal}; nothing was imported from this file") from None
    new: dict[str, tuple[Step, Answer]] = {}
    for vote, step in zip(answers_file.answers, steps, strict=True):
        before = answers.answer_of(listener, vote.item)
        if before is None and vote.item in new:
            before = by_system(step, new[vote.item][1])
        if before is None:
            new[vote.item] = (step, vote.answer)
        elif by_system(step, vote.answer) != before:
            raise ReportError(
                f"--import {path}: {listener!r} has given other answers before; if this is another listener, change "
                "listener in this file to another code; nothing was imported from it"
            )
    for step, answer in new.values():
        answers.add(listener, step, answer, session)
    return ImportResult(listener, len(new), len(answers_file.answers) - len(new))


def _exported_step(test: ListeningTest, step: Step, names: Mapping[Path, str]) -> dict[str, Any]:
    sounds = {slot: names[test.sound(step.item.clip, system)] for slot, system in step.slots.items()}
    return {"item": step.item.id, "token": step.token, "sounds": sounds}
