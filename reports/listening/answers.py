"""The answers of a listening test: checked, then appended to a file, from which every start reads them again."""

from __future__ import annotations

import hmac
import json
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr

from reports.errors import ReportError
from reports.listening.design import ABX_ANSWERS, MOS, SCALE, Step, token_of
from reports.listening.preparation import ListeningTest

ANSWERS = "answers.jsonl"
LOCK = "answers.lock"
MAX_CODE = 40
"""Characters of a listener's code."""

Answer = StrictInt | StrictStr


class Vote(BaseModel):
    """What comes from a page: an item, the proof that it was asked, and the answer."""

    model_config = ConfigDict(extra="forbid")
    item: str
    token: str
    answer: Answer


class Given(BaseModel):
    """An answer as it is stored, a line each.

    Attributes:
        systems: keys of the one that was rated, or of A and B.
        right: whether X was told; None of a rating.
        via: the session: the page, or an exported file.
    """

    ts: int
    listener: str
    item: str
    clip: str
    systems: tuple[str, ...]
    answer: Answer
    right: bool | None
    via: str


class Refusal(Exception):
    """A vote that is not counted, with an HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def listener_code(typed: str) -> str:
    """A listener's code without what differs between two times of typing it.

    Raises:
        Refusal: it is empty, too long, or can't be printed.
    """
    code = " ".join(typed.split()).casefold()
    if not code or len(code) > MAX_CODE or not code.isprintable():
        raise Refusal(422, f"a code has 1 to {MAX_CODE} characters that can be printed")
    return code


def check_vote(test: ListeningTest, session: str, vote: Vote) -> Step:
    """The step that a vote answers.

    Raises:
        Refusal: the item, the token or the answer is not of this test.
    """
    design = test.design
    if design.item(vote.item) is None:
        raise Refusal(404, "no such clip in this test")
    issued = token_of(design, test.secret, session, vote.item)
    if not hmac.compare_digest(issued.encode(), vote.token.encode(errors="replace")):
        raise Refusal(403, "this token was not issued by this test for this listener and clip")
    allowed: Iterable[int | str] = SCALE if design.method == MOS else ABX_ANSWERS
    if vote.answer not in allowed:
        shown = "1 to 5" if design.method == MOS else "a or b"
        raise Refusal(422, f"an answer is {shown}, got {str(vote.answer)[:20]!r}")
    return next(step for step in test.plan(session) if step.item.id == vote.item)


class Answers:
    """The one writer of a test's answers; opening cuts off a line that a kill has torn.

    Attributes:
        given: all of them, in the order in which they came.
    """

    def __init__(self, test: ListeningTest) -> None:
        self.path = test.folder / ANSWERS
        self._process_lock = FileLock(test.folder / LOCK)
        self._lock = threading.Lock()
        try:
            self._process_lock.acquire(timeout=0)
        except Timeout:
            raise ReportError(
                f"{test.folder}: another orchestrate listen runs this test; end it with Ctrl-C, then try again"
            ) from None
        try:
            self.given = read_answers(self.path)
        except ReportError:
            self._process_lock.release()
            raise
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._cut_torn_line()
        self._known = {(answer.listener, answer.item): answer.answer for answer in self.given}

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._file)
        self._process_lock.release()

    def answer_of(self, listener: str, item: str) -> int | str | None:
        """What a listener said; None if nothing yet."""
        return self._known.get((listener, item))

    def add(self, listener: str, step: Step, answer: int | str, via: str) -> None:
        """Store an answer; from here on it survives the death of this process and of this machine.

        Raises:
            Refusal: this listener has answered that before.
        """
        right = None if step.right is None else answer == step.right
        systems = tuple(key for slot, key in step.slots.items() if slot != "x")
        line = Given(
            ts=time.time_ns() // 1_000_000,
            listener=listener,
            item=step.item.id,
            clip=step.item.clip,
            systems=systems,
            answer=answer,
            right=right,
            via=via,
        )
        with self._lock:
            if (listener, step.item.id) in self._known:
                raise Refusal(409, "this clip has been answered before; the first answer stands")
            self._append(line.model_dump_json().encode() + b"\n")
            self._known[listener, step.item.id] = answer
            self.given.append(line)

    def _append(self, line: bytes) -> None:
        start = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) < len(line):
                raise OSError(28, "No space left on device", str(self.path))
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, start)
            raise

    def _cut_torn_line(self) -> None:
        size = os.fstat(self._file).st_size
        whole = os.pread(self._file, size, 0).rfind(b"\n") + 1
        if whole < size:
            os.ftruncate(self._file, whole)


def read_answers(path: Path) -> list[Given]:
    """The whole lines of an answers file.

    Raises:
        ReportError: a line is broken that no kill has torn.
    """
    data = path.read_bytes() if path.exists() else b""
    lines = data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]
    return [_parse(line, path, number) for number, line in enumerate(lines, 1)]


def _parse(line: bytes, path: Path, number: int) -> Given:
    try:
        fields: Any = json.loads(line)
        return Given.model_validate(fields)
    except ValueError:
        raise ReportError(
            f"{path}:{number}: not a line that was written here: {line[:40].decode(errors='replace')!r}; "
            "put the file back from a backup, or delete this line if nothing else is left of it"
        ) from None
