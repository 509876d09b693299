"""The answers of a listening test: checked, then appended to a file, from which they are read at every start."""

from __future__ import annotations

import hmac
import json
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr

from reports.errors import ReportError
from reports.listening.design import (
    ABX,
    ABX_ANSWERS,
    MAX_QUALITY,
    MOS,
    MUSHRA,
    PREFERENCES,
    SCALE,
    Method,
    Step,
    token_of,
)
from reports.listening.preparation import ListeningTest

ANSWERS = "answers.jsonl"
LOCK = "answers.lock"
MAX_CODE = 40
"""Maximum number of characters of a listener's code."""

Answer = StrictInt | StrictStr | dict[str, StrictInt]
"""A rating, a slot, or the ratings of several sounds by slot or, once it is stored, by key of the system."""


class Vote(BaseModel):
    """An answer as a page sends it.

    Attributes:
        item: id of the item.
        token: the step's token.
        answer: a rating, a slot, `tie`, or ratings from 0 to 100 by slot.
    """

    model_config = ConfigDict(extra="forbid")
    item: str
    token: str
    answer: Answer


class StoredAnswer(BaseModel):
    """An answer as it is stored, one line of the file.

    Attributes:
        ts: time in ms since 1970.
        listener: code of the listener.
        item: id of the item.
        clip: name of the clip.
        systems: key of the system that was rated, or keys of A and B, or of all in the order of their slots.
        answer: a rating, a slot, `tie`, or ratings from 0 to 100 by key of the system.
        right: whether the ABX answer is right; None for a rating.
        via: name of the session, of a served page or an exported file.
    """

    ts: int
    listener: str
    item: str
    clip: str
    systems: tuple[str, ...]
    answer: Answer
    right: bool | None
    via: str

    @property
    def rating(self) -> int:
        """The rating of a sound that was rated alone."""
        assert isinstance(self.answer, int)
        return self.answer


class Refusal(Exception):
    """The error for an answer that is not accepted.

    Args:
        status: HTTP status for the page.
        reason: message for the listener.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def listener_code(typed: str) -> str:
    """Return a listener's code in lower case and without extra spaces, so that typing it again gives the same code.

    Raises:
        Refusal: it is empty, too long, or not printable.
    """
    code = " ".join(typed.split()).casefold()
    if not code or len(code) > MAX_CODE or not code.isprintable():
        raise Refusal(422, f"a code has 1 to {MAX_CODE} characters that can be printed")
    return code


def check_vote(test: ListeningTest, session: str, vote: Vote) -> Step:
    """Return the step that a vote answers, after checking its item, token and answer.

    Args:
        test: the test.
        session: name of the session (`page_session` or `file_session`).
        vote: the vote.

    Raises:
        Refusal: the item, the token or the answer is not one of this session.
    """
    design = test.design
    if design.find_item(vote.item) is None:
        raise Refusal(404, "no such clip in this test")
    issued = token_of(design, test.secret, session, vote.item)
    if not hmac.compare_digest(issued.encode(), vote.token.encode(errors="replace")):
        raise Refusal(403, "this token was not issued by this test for this listener and clip")
    step = next(step for step in test.plan(session) if step.item.id == vote.item)
    allowed = _describe_allowed(step, vote.answer, design.method)
    if allowed:
        raise Refusal(422, f"an answer is {allowed}, got {str(vote.answer)[:20]!r}")
    return step


def by_system(step: Step, answer: Answer) -> Answer:
    """Return an answer as it is stored: ratings by slot become ratings by key of the system."""
    if isinstance(answer, dict):
        return {step.slots[slot]: rating for slot, rating in answer.items()}
    return answer


def _describe_allowed(step: Step, answer: Answer, method: Method) -> str:
    """Return the answers that a step allows, in words, if this is none of them; else an empty string."""
    if method == MUSHRA:
        ratings = answer if isinstance(answer, dict) else {}
        is_complete = ratings.keys() == set(step.rated_slots)
        is_valid = is_complete and all(0 <= rating <= MAX_QUALITY for rating in ratings.values())
        return "" if is_valid else f"a rating from 0 to {MAX_QUALITY} for each of {', '.join(step.rated_slots)}"
    if method == MOS:
        return "" if isinstance(answer, int) and answer in SCALE else "1 to 5"
    if method == ABX:
        return "" if answer in ABX_ANSWERS else "a or b"
    return "" if answer in PREFERENCES else "a, b or tie"


class Answers:
    """The only writer of a test's answers; an incomplete last line, left by a crash, is removed.

    Attributes:
        path: the file of answers.
        stored: all answers, in the order in which they came.

    Args:
        test: the test, which is locked until the end of the `with` block.

    Raises:
        ReportError: another process has the test open, or a line of the file is broken.
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
            self.stored = read_answers(self.path)
        except ReportError:
            self._process_lock.release()
            raise
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._cut_torn_line()
        self._known = {(answer.listener, answer.item): answer.answer for answer in self.stored}

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._file)
        self._process_lock.release()

    def answer_of(self, listener: str, item: str) -> Answer | None:
        """Return a listener's answer to an item; None if there is none yet."""
        return self._known.get((listener, item))

    def add(self, listener: str, step: Step, answer: Answer, via: str) -> None:
        """Store an answer; it is on disk when this returns.

        Args:
            listener: code of the listener.
            step: the step that was answered.
            answer: the answer.
            via: name of the session.

        Raises:
            Refusal: this listener has answered this item before.
            OSError: the file can't be written; then nothing is stored.
        """
        right = None if step.right is None else answer == step.right
        systems = tuple(step.slots[slot] for slot in step.rated_slots)
        answer = by_system(step, answer)
        line = StoredAnswer(
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
            self.stored.append(line)

    def _append(self, line: bytes) -> None:
        start = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) < len(line):
                raise OSError(28, "No space left on device", str(self.path))
            os.fsync(self._file)
        except OSError:
            # A part of the line would break the file.
            os.ftruncate(self._file, start)
            raise

    def _cut_torn_line(self) -> None:
        size = os.fstat(self._file).st_size
        whole = os.pread(self._file, size, 0).rfind(b"\n") + 1
        if whole < size:
            os.ftruncate(self._file, whole)


def read_answers(path: Path) -> list[StoredAnswer]:
    """Read an answers file; an incomplete last line is ignored, and a missing file has no answers.

    Raises:
        ReportError: a complete line can't be parsed.
    """
    data = path.read_bytes() if path.exists() else b""
    lines = data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]
    return [_parse(line, path, number) for number, line in enumerate(lines, 1)]


def _parse(line: bytes, path: Path, number: int) -> StoredAnswer:
    try:
        fields: Any = json.loads(line)
        return StoredAnswer.model_validate(fields)
    except ValueError:
        raise ReportError(
            f"{path}:{number}: is not an answer: {line[:40].decode(errors='replace')!r}; "
            "restore the file from a backup or, if there is none, delete this line"
        ) from None
