"""The web server of a listening test, for browsers on this machine only."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, StrictStr
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from reports.errors import ReportError
from reports.listening.answers import Answer, Answers, Refusal, Vote, check_vote, listener_code
from reports.listening.design import page_session
from reports.listening.open_steps import open_steps
from reports.listening.page import render_results, render_test
from reports.listening.preparation import ListeningTest
from reports.listening.results import summarize_test

HOST = "127.0.0.1"
PORT = 5001
"""Default port of `orchestrate listen`."""
HOSTS = [HOST, "localhost"]
"""Host names under which requests are accepted, so that a foreign page can't read answers by DNS rebinding."""
PORTS = 65536


class SessionRequest(BaseModel):
    """The request of a listener who begins or continues the test.

    Attributes:
        listener: the code as it was typed.
    """

    model_config = ConfigDict(extra="forbid")
    listener: StrictStr


class PageVote(BaseModel):
    """An answer of a listener.

    Attributes:
        listener: the code as it was typed.
        item: id of the item.
        token: the step's token.
        answer: a rating, a slot, `tie`, or ratings by slot.
    """

    model_config = ConfigDict(extra="forbid")
    listener: StrictStr
    item: StrictStr
    token: StrictStr
    answer: Answer


def make_app(test: ListeningTest, answers: Answers) -> FastAPI:
    """Return the web application of a test, which stores answers in `answers`."""
    # FastAPI's documentation pages would load scripts from the internet.
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)

    @app.exception_handler(Refusal)
    def refuse(request: Request, error: Refusal) -> JSONResponse:
        return JSONResponse({"reason": str(error)}, error.status)

    @app.exception_handler(RequestValidationError)
    def refuse_shape(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return JSONResponse({"reason": f"{place}: {first['msg']}"}, 422)

    @app.exception_handler(HTTPException)
    def refuse_request(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"reason": error.detail}, error.status_code)

    @app.exception_handler(OSError)
    def refuse_for_now(request: Request, error: OSError) -> JSONResponse:
        return JSONResponse({"reason": f"the answer could not be stored ({error.strerror}); give it again later"}, 507)

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(render_test(test))

    @app.get("/results")
    def results() -> HTMLResponse:
        return HTMLResponse(render_results(summarize_test(test, answers.stored)))

    @app.post("/session")
    def open_session(body: SessionRequest) -> dict[str, object]:
        listener = listener_code(body.listener)
        steps, done = open_steps(test, answers, listener)
        item_tokens = [{"item": step.item.id, "token": step.token} for step in steps]
        return {"listener": listener, "total": test.design.num_answers, "done": done, "steps": item_tokens}

    @app.get("/sound")
    def sound(
        listener: Annotated[str, Query()], item: Annotated[str, Query()], slot: Annotated[str, Query()]
    ) -> Response:
        for step in test.plan(page_session(listener_code(listener))):
            if step.item.id == item and slot in step.slots:
                return FileResponse(test.sound(step.item.clip, step.slots[slot]), media_type="audio/wav")
        raise Refusal(404, "no such clip in this test")

    @app.get("/sample")
    def sample() -> Response:
        return FileResponse(sample_path(test), media_type="audio/wav")

    @app.post("/votes")
    def store_vote(vote: PageVote) -> dict[str, int]:
        listener = listener_code(vote.listener)
        session = page_session(listener)
        step = check_vote(test, session, Vote(item=vote.item, token=vote.token, answer=vote.answer))
        answers.add(listener, step, vote.answer, session)
        return {"stored": 1}

    return app


def sample_path(test: ListeningTest) -> Path:
    """Return the path of a sound for setting the volume; it is as loud as the others."""
    clip = test.design.clips[0]
    return test.sound(clip, next(reversed(test.design.sounds[clip])))


def take_port(port: int) -> socket.socket:
    """Return a socket that listens on a port of this machine; the port 0 stands for any free one.

    Raises:
        ReportError: the port is in use or not allowed.
    """
    listening_socket = socket.socket()
    listening_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening_socket.bind((HOST, port))
        listening_socket.listen()
    except (OSError, OverflowError) as error:
        listening_socket.close()
        why = getattr(error, "strerror", None) or f"must be from 0 to {PORTS - 1}"
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            free = probe.getsockname()[1]
        raise ReportError(f"port {port} on {HOST}: {why}; port {free} is free: --port {free}") from None
    return listening_socket


def make_server(test: ListeningTest, answers: Answers) -> uvicorn.Server:
    """Return a server of the test that logs errors only and shuts down within two seconds."""
    config = uvicorn.Config(
        make_app(test, answers), log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=2
    )
    return uvicorn.Server(config)
