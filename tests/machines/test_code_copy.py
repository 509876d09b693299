"""What is copied of a sweep's own code, and which paths then change."""

from __future__ import annotations

import subprocess
from pathlib import Path

from orchestrator.machines.code_copy import CodeCopy, copy_code, replace_folder
from orchestrator.machines.sending import drop_options


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_the_folder_is_copied_without_what_is_ignored_and_replaces_the_copy_before(tmp_path: Path) -> None:
    source = tmp_path / "mine"
    write(source, "net.yaml", "net.py", "helpers/layers.py", "data/big.wav", "secret.env", "runs/net/sweep.jsonl")
    write(source, ".git/config", "helpers/__pycache__/layers.cpython-311.pyc")
    (source / ".gitignore").write_text("*.env\n")
    (source / ".rayignore").write_text("data/\n")
    write(tmp_path / "home/code/net", "of_before.py")
    copy_code(source, tmp_path / "home/code/net")
    copied = {str(path.relative_to(tmp_path / "home/code/net")) for path in (tmp_path / "home").rglob("*.*")}
    assert (
        {"net.yaml", "net.py", "helpers/layers.py"}
        <= copied
        <= {*("net.yaml", "net.py", "helpers/layers.py", ".gitignore", ".rayignore")}
    )
    assert [path.name for path in (tmp_path / "home/code").iterdir()] == ["net"]


def test_paths_in_the_folder_move_and_others_stay() -> None:
    code = CodeCopy(Path("/mine"), Path("/home/code/net"))
    assert code.move("/mine/lib/net.py") == "/home/code/net/lib/net.py"
    assert code.move("/elsewhere/net.py") == "/elsewhere/net.py"
    assert code.move_trainable("autoencoder") == "autoencoder"
    command = {"command": "python train.py", "folder": "/mine"}
    assert code.move_trainable(command) == {"command": "python train.py", "folder": "/home/code/net"}


def test_a_folder_that_is_named_through_a_link_moves_and_the_files_of_judges_with_it(tmp_path: Path) -> None:
    write(tmp_path / "mine", "net.py", "clap.pt")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    code = CodeCopy(tmp_path / "mine", Path("/home/code/net"))
    assert code.move(str(tmp_path / "link/net.py")) == "/home/code/net/net.py"
    judge = {"name": "clap", "weights": str(tmp_path / "link/clap.pt"), "classes": "/shared/classes.csv", "clips": 8}
    moved = {"weights": "/home/code/net/clap.pt", "classes": "/shared/classes.csv"}
    assert code.move_judge(judge) == judge | moved
    assert code.move_judge({"name": "own"}) == {"name": "own"}


def test_a_folder_that_can_not_be_filled_leaves_the_one_before(tmp_path: Path) -> None:
    write(tmp_path / "code", "of_before.py")

    def fill(folder: Path) -> None:
        raise OSError("no room")

    try:
        replace_folder(tmp_path / "code", fill)
    except OSError:
        pass
    assert (tmp_path / "code/of_before.py").exists()


def test_options_that_are_this_machines_are_not_sent() -> None:
    arguments = ["vae", "--detach", "--address", "head:6379", "--trials", "+4", "--home=/runs", "--set", "a.b=1"]
    assert drop_options(arguments, "vae", {"--detach"}, {"--address", "--home"}) == [
        *("--trials", "+4"),
        "--set",
        "a.b=1",
    ]
    # An arm may have the name of its sweep.
    assert drop_options(["vae", "--arm", "vae", "--detach"], "vae", {"--detach"}, set()) == ["--arm", "vae"]
    assert drop_options(["--trials", "+4"], "vae", {"--detach"}, set()) == ["--trials", "+4"]


def test_the_script_for_slurm_is_bash_and_asks_for_what_its_traps_wait_for() -> None:
    script = Path(__file__).parents[2] / "deploy" / "slurm.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text()
    assert "#SBATCH --signal=B:USR1@" in text and "#SBATCH --requeue" in text
    # Before anything that takes time, because the default of a signal is to end the shell.
    assert text.index("trap 'requeue=yes; stop_driver' USR1") < text.index("srun")
