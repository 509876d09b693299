"""The commands `data …`, which are about corpora: prepare, check, show and size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import File, Home, Overrides, Preset
from orchestrator.cli.verbs import WholeDescriptions

app = typer.Typer(
    cls=WholeDescriptions,
    help="Prepare a corpus before a sweep needs it, look at it, check its cache, and say what a search space needs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

CorpusName = Annotated[
    str, typer.Argument(metavar="FILE|CORPUS", help="A search space, or a corpus such as folder.", show_default=False)
]
Root = Annotated[Path | None, typer.Option(help="The corpus's folder or file, its `root`.", show_default=False)]


@app.command()
def prepare(corpus: CorpusName, root: Root = None, set_: Overrides = None, home: Home = None) -> None:
    """Decode the files of a corpus that are not decoded yet, and show what each class has; a second start resumes."""
    from rich.console import Console

    from orchestrator.commands.data.corpus_argument import read_corpus
    from orchestrator.commands.data.prepare import prepare as prepare_corpus
    from orchestrator.state.home import find_home

    prepare_corpus(read_corpus(corpus, root, set_ or []), find_home(home), Console(highlight=False))


@app.command()
def check(corpus: CorpusName, root: Root = None, set_: Overrides = None, home: Home = None) -> None:
    """Compare the cache of a corpus with its files, and read all of it; the exit code is 1 if something is wrong."""
    from orchestrator.commands.data.check import check as check_cache
    from orchestrator.commands.data.corpus_argument import read_corpus
    from orchestrator.state.home import find_home

    check_cache(read_corpus(corpus, root, set_ or []), find_home(home), print)


@app.command()
def show(
    corpus: CorpusName,
    root: Root = None,
    set_: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The page [default: in reports/ of the home].", show_default=False),
    ] = None,
    home: Home = None,
) -> None:
    """Write a page that shows what is in a corpus; the exit code is 1 if a sound is in two splits."""
    from orchestrator.commands.data.corpus_argument import read_corpus
    from orchestrator.commands.data.show import show as show_corpus
    from orchestrator.overview.screen import Screen
    from orchestrator.state.home import find_home

    screen = Screen()
    try:
        show_corpus(read_corpus(corpus, root, set_ or []), find_home(home), out, screen.progress, screen.say)
    finally:
        screen.close()


@app.command()
def size(file: File, root: Root = None, preset: Preset = None, set_: Overrides = None, home: Home = None) -> None:
    """Estimate what the corpus of a search space takes on the disk, before anything is decoded."""
    from orchestrator.commands.data.corpus_argument import root_override
    from orchestrator.commands.data.size import say_size
    from orchestrator.search_space.reader import read_search_space
    from orchestrator.state.home import find_home

    overrides = [*(set_ or []), *root_override(root)]
    say_size(read_search_space(file, preset=preset, overrides=overrides), find_home(home), print)
