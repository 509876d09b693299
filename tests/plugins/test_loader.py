import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import UserError
from orchestrator.plugins import loader
from trainables.errors import InputError

TRAINABLE = """
from trainables.trainable import Trainable, TrialConfig

class Mine(Trainable):
    class Config(TrialConfig):
        width: int = 3
    def __init__(self, config, corpus, *, device, seed): ...
    def step(self): return {}
    def state_dict(self): return {}
    def load_state_dict(self, state): ...
"""


def written(path: Path, text: str = TRAINABLE) -> Path:
    path.write_text(text)
    return path


def test_a_trainable_is_found_by_a_path_relative_to_a_folder(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.py")
    relative = loader.load_trainable("./mine.py", tmp_path)
    assert relative.__name__ == "Mine"
    assert loader.load_trainable(str(path), Path("/")) is relative


def test_files_of_the_same_name_do_not_collide(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    written(tmp_path / "a" / "same.py")
    written(tmp_path / "b" / "same.py", TRAINABLE.replace("Mine", "Other"))
    names = [loader.load_trainable("same.py", tmp_path / folder).__name__ for folder in ("a", "b")]
    assert names == ["Mine", "Other"]


def test_a_file_can_import_its_neighbours(tmp_path: Path) -> None:
    written(tmp_path / "neighbour_of_mine.py", "WIDTH = 7")
    written(tmp_path / "mine.py", "from neighbour_of_mine import WIDTH\n" + TRAINABLE.replace("= 3", "= WIDTH"))
    assert loader.load_trainable("mine.py", tmp_path).Config().model_dump() == {"width": 7}


def test_an_imported_trainable_or_an_abstract_base_is_not_the_files_own(tmp_path: Path) -> None:
    text = f"{TRAINABLE}\nfrom abc import ABC\nclass Base(Trainable, ABC): ...\nfrom borrowed_from import Borrowed"
    written(tmp_path / "borrowed_from.py", TRAINABLE.replace("Mine", "Borrowed"))
    written(tmp_path / "mine.py", text)
    assert loader.load_trainable("mine.py", tmp_path).__name__ == "Mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must define exactly one complete subclass of Trainable, got none; write one"),
        (TRAINABLE + TRAINABLE.replace("Mine", "Other"), "got Mine, Other; move all but one to other files"),
        (TRAINABLE.replace("def step(self): return {}", "..."), "got Mine without step; write the methods"),
        (TRAINABLE.replace("class Config(TrialConfig)", "class Config"), "Mine.Config must be a subclass of"),
        ("x = 1\ndef f(:", "mine.py:2: can't be imported: SyntaxError"),
        ("x = 1\n\nimport no_such_package", "mine.py:3: can't be imported: ModuleNotFoundError: No module named"),
        ("raise ValueError('two\\nlines')", "mine.py:1: can't be imported: ValueError: two lines"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    written(tmp_path / "mine.py", text)
    with pytest.raises(UserError) as caught:
        loader.load_trainable("mine.py", tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_failed_is_imported_again_after_it_was_mended(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.py", "raise ValueError")
    with pytest.raises(UserError):
        loader.load_trainable("mine.py", tmp_path)
    written(path)
    assert loader.load_trainable("mine.py", tmp_path).__name__ == "Mine"


def test_the_nearest_file_is_suggested(tmp_path: Path) -> None:
    written(tmp_path / "my_unet.py")
    with pytest.raises(UserError, match=r"my_unt\.py: no such file \(did you mean 'my_unet\.py'\?\)"):
        loader.load_trainable("./my_unt.py", tmp_path)


def test_shipped_trainables_are_found_by_the_name_of_their_folder_and_the_nearest_is_suggested() -> None:
    assert loader.find_trainables()["autoencoder"].name == "trainable.py"
    assert not loader.find_trainables().keys() & {"trainable", "errors", "__init__"}
    with pytest.raises(UserError, match=r"unknown trainable 'autoencodr' \(did you mean 'autoencoder'\?\)"):
        loader.load_trainable("autoencodr", Path())


@pytest.mark.parametrize("name", loader.find_trainables())
def test_a_shipped_trainable_is_the_class_that_python_imports(name: str) -> None:
    found = loader.load_trainable(name, Path())
    assert getattr(sys.modules[f"trainables.{name}.trainable"], found.__name__) is found


def test_a_trainable_of_ones_own_is_its_own_declaration(tmp_path: Path) -> None:
    written(tmp_path / "mine.py")
    written(tmp_path / loader.DECLARATION, "raise SystemExit")
    declaration = loader.load_declaration("mine.py", tmp_path)
    assert declaration is loader.load_trainable("mine.py", tmp_path)
    assert (declaration.class_name(), declaration.can_render(), declaration.can_evaluate()) == ("Mine", False, False)


def test_components_are_imported_once(tmp_path: Path) -> None:
    path = written(
        tmp_path / "parts.py", "from pathlib import Path\nwith Path(__file__ + '.log').open('a') as f: f.write('x')"
    )
    loader.load_components([path])
    loader.load_components([path])
    assert (tmp_path / "parts.py.log").read_text() == "x"


def test_names_of_bundles_are_no_settings(tmp_path: Path) -> None:
    written(tmp_path / "mine.py")
    trainable = loader.load_trainable("mine.py", tmp_path)
    assert loader.config_values(trainable, {"normalization": "joint", "width": 4}) == {"width": 4}


def test_what_trainables_refuse_becomes_a_user_error() -> None:
    with pytest.raises(UserError, match="no sound in it"), loader.user_errors():
        raise InputError("no sound in it")


def test_an_unknown_corpus_is_a_user_error() -> None:
    with pytest.raises(UserError, match="Did you mean 'demo'"):
        loader.corpus_model({"name": "dmo"})


def test_reading_search_spaces_imports_neither_torch_nor_ray() -> None:
    code = (
        "import orchestrator.search_space.reader, orchestrator.commands.planning.plan, sys; "
        "print({'torch', 'ray', 'optuna'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
