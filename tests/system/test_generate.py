"""Sweeps on a tiny corpus, what their best trials generate or reconstruct, and the models that they are promoted to."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from huggingface_hub import ModelCard
from mlflow import MlflowClient
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.exports.export import Request, export
from orchestrator.commands.generate import Options, generate
from orchestrator.commands.report import write_reports
from orchestrator.driver.sweep import run_sweep
from orchestrator.errors import UserError
from orchestrator.models.champion import export_trial
from orchestrator.models.registry import promote
from orchestrator.overview.screen import Screen
from orchestrator.plugins.exported_models import open_model
from orchestrator.search_space.reader import read_search_space
from orchestrator.state.ledger import Ledger
from orchestrator.state.paths import BEST, CHECKPOINT, trial_folder
from orchestrator.worker import checkpoint
from reports import vocabulary as words
from tests.support.mounts import read_only
from tests.support.spaces import write_space
from trainables.autoencoder.trainable import Autoencoder

SITE_PACKAGES = str(Path(soundfile.__file__).parent)


def write_judged_space(path: Path, corpus: Path, **changes: Any) -> Path:
    """A search space of one arm on the tiny corpus, judged by the judge."""
    return write_space(
        path,
        name=path.stem,
        corpus={"name": "folder", "root": str(corpus)},
        objective={"metric": "val/judge_probability", "mode": "max"},
        **dict.fromkeys(("compare", "search", "pruning")),
        **changes,
    )


@pytest.fixture(scope="module")
def swept(tiny_corpus: Path, tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    space = write_judged_space(
        tmp_path_factory.mktemp("space") / "paired.yaml",
        tiny_corpus,
        trainable="image_to_sound",
        params={"spectrogram": "24x64", "latent_dim": 8, "width": 8, "image_size": 32, "batch_size": 8, "lr": 1e-3},
        budget={"seeds": 2, "max_epochs": 2},
        evaluate={"route": ["sample", "retrieve"]},
        media={"clips": 3, "epochs": [1, "best"]},
    )
    return run_sweep(read_search_space(space), tiny_home, Screen())


OWN_LOSS = """
from trainables.components.losses.reconstruction import register_loss
from smooth import smooth_absolute

@register_loss("carried")
def carried(estimate, target):
    return smooth_absolute(estimate - target).mean()
"""
HELPER = "def smooth_absolute(error):\n    return (error.square() + 1e-6).sqrt()\n"


@pytest.fixture(scope="module")
def own_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a loss of a user's, which imports another file of the folder."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_loss.py").write_text(OWN_LOSS)
    (folder / "smooth.py").write_text(HELPER)
    return folder


@pytest.fixture(scope="module")
def reconstructing(tiny_corpus: Path, tiny_home: Path, own_code: Path) -> Ledger:
    space = write_judged_space(
        own_code / "sounds.yaml",
        tiny_corpus,
        trainable="autoencoder",
        components=["./own_loss.py"],
        params={**Autoencoder.DEBUG, "linear_path": "pca", "loss": "carried", "phase": "original"},
        budget={"seeds": 1, "max_epochs": 1},
        media={"clips": 1, "epochs": ["best"]},
    )
    return run_sweep(read_search_space(space), tiny_home, Screen())


@contextlib.contextmanager
def moved_away(folder: Path) -> Iterator[None]:
    """A folder is not where it was within the block."""
    away = folder.rename(folder.with_name(f"{folder.name}-away"))
    try:
        yield
    finally:
        away.rename(folder)


@pytest.fixture
def image(tiny_corpus: Path) -> Path:
    return tiny_corpus / "siren" / "take 0.png"


def make_files(folder: Path, *names: str) -> list[Path]:
    """Files without content."""
    paths = [folder / name for name in names]
    for path in paths:
        path.touch()
    return paths


def lines(home: Path, files: list[Path], options: Options) -> tuple[list[Path], list[str]]:
    said: list[str] = []
    return generate(home, files, options, said.append), said


class TestSweep:
    def test_its_pairs_are_in_mlflow(self, swept: Ledger, tiny_home: Path) -> None:
        client = MlflowClient(f"sqlite:///{tiny_home / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("paired")
        assert experiment is not None
        trials = client.search_runs([experiment.experiment_id], f"tags.`{words.TAG_ROLE}` = '{words.ROLE_TRIAL}'")
        assert len(trials) == len(swept.trials) == 2
        for run in trials:
            files = {file.path for file in client.list_artifacts(run.info.run_id)}
            stems = {name.removesuffix("_reconstruction.wav") for name in files if name.endswith("_reconstruction.wav")}
            assert len(stems) == 3 and {f"{stem}_original.wav" for stem in stems} <= files
            pictures = {file.path for file in client.list_artifacts(run.info.run_id, "images")}
            assert all(any(f"image~{stem}+" in name for name in pictures) for stem in stems)
            assert "test/judge_accuracy" in run.data.metrics
            assert "test/image_to_sound_r_at_1" in run.data.metrics
            assert 0 <= run.data.metrics["val/sound_to_image_r_at_10"] <= 1
        evaluations = client.search_runs(
            [experiment.experiment_id], f"tags.`{words.TAG_ROLE}` = '{words.ROLE_EVALUATION}'"
        )
        assert {run.data.tags[words.TAG_RENDERING] for run in evaluations} == {"route=sample", "route=retrieve"}


class TestGenerate:
    def test_it_writes_sounds_and_says_who_made_them_and_what_they_are_taken_for(
        self, swept: Ledger, tiny_home: Path, image: Path, tmp_path: Path
    ) -> None:
        written, said = lines(tiny_home, [image], Options(tmp_path / "out", sweep="paired", count=3))
        assert [path.name for path in written] == ["take 0_1.wav", "take 0_2.wav", "take 0_3.wav"]
        for path in written:
            samples, rate_hz = soundfile.read(path)
            assert (len(samples), rate_hz) == (44100, 22050)
        assert any(line.startswith("paired/") and "judge accuracy" in line for line in said)
        assert sum("the judge predicts" in line for line in said) == 3

    def test_any_trial_can_be_named_that_has_kept_its_checkpoint(
        self, swept: Ledger, tiny_home: Path, image: Path, tmp_path: Path
    ) -> None:
        best = export_trial(tiny_home, "paired", print).origin["trial"]
        other = next(number for number in swept.trials if number != best)
        written, said = lines(tiny_home, [image], Options(tmp_path / "out", f"paired/{other}", count=1))
        assert len(written) == 1 and any(line.startswith(f"paired/{other} (") for line in said)
        checkpoint = trial_folder(swept.folder, other) / CHECKPOINT / BEST
        # Exported already, it would not be read again.
        shutil.rmtree(trial_folder(swept.folder, other) / "model")
        with moved_away(checkpoint), pytest.raises(UserError, match="name a trial that has one: ") as refusal:
            lines(tiny_home, [image], Options(tmp_path / "out", f"paired/{other}"))
        named = str(refusal.value).rpartition(": ")[2].split(", ")
        assert str(best) in named and str(other) not in named
        with pytest.raises(UserError, match="paired has no trial 99"):
            lines(tiny_home, [image], Options(tmp_path / "out", "paired/99"))

    def test_the_same_seed_makes_the_same_and_another_makes_others(
        self, swept: Ledger, tiny_home: Path, image: Path, tmp_path: Path
    ) -> None:
        made = {}
        for name, seed in (("one", 0), ("same", 0), ("other", 1)):
            made[name], _ = lines(tiny_home, [image], Options(tmp_path / name, sweep="paired", count=2, seed=seed))
        contents = {name: [path.read_bytes() for path in paths] for name, paths in made.items()}
        assert contents["one"] == contents["same"]
        assert contents["one"][1] != contents["other"][1]

    def test_without_a_name_the_newest_sweep_that_takes_it_is_asked(
        self, swept: Ledger, tiny_home: Path, image: Path, tmp_path: Path
    ) -> None:
        _, said = lines(tiny_home, [image], Options(tmp_path / "out", count=1))
        assert said[0].startswith("paired/") or said[1].startswith("paired/")

    def test_a_checkpoint_of_another_version_is_refused(
        self, swept: Ledger, tiny_home: Path, image: Path, tmp_path: Path
    ) -> None:
        champion = export_trial(tiny_home, "paired", print)
        folder = champion.folder.parent
        saved = checkpoint.load(folder / CHECKPOINT / BEST, "cpu")
        kept = (folder / CHECKPOINT / BEST).read_bytes()
        settings = (champion.folder / "model.json").read_text()
        try:
            (champion.folder / "model.json").unlink()
            renamed = {f"old_{key}": value for key, value in saved["state"]["model"].items()}
            torch.save({**saved, "state": {**saved["state"], "model": renamed}}, folder / CHECKPOINT / BEST)
            with pytest.raises(UserError, match=r"paired/\d: its checkpoint is of another version"):
                lines(tiny_home, [image], Options(tmp_path / "out", sweep="paired"))
        finally:
            (folder / CHECKPOINT / BEST).write_bytes(kept)
            (champion.folder / "model.json").write_text(settings)

    def test_an_exported_model_of_another_version_is_refused(
        self, swept: Ledger, tiny_home: Path, image: Path, tmp_path: Path
    ) -> None:
        champion = export_trial(tiny_home, "paired", print)
        path = champion.folder / "model.json"
        kept = path.read_text()
        try:
            path.write_text(json.dumps({**json.loads(kept), "version": 99}))
            with pytest.raises(UserError, match=r"this model has format 99, and this version of orchestrate reads 1"):
                lines(tiny_home, [image], Options(tmp_path / "out", sweep="paired"))
        finally:
            path.write_text(kept)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("gone.jpg", None, "gone.jpg: no such file"),
            ("text.txt", b"hello", "neither a picture"),
            ("text.png", b"hello", "no picture that can be read"),
            ("noise.wav", b"hello", "noise.wav: is a sound, and paired generates a sound from an image; give it one"),
        ],
    )
    def test_a_file_that_cannot_be_used_is_one_line_and_exit_code_2(
        self, swept: Ledger, tiny_home: Path, tmp_path: Path, name: str, content: bytes | None, message: str
    ) -> None:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match=message) as error:
            lines(tiny_home, [path], Options(tmp_path / "out", sweep="paired"))
        assert "\n" not in str(error.value)
        assert error.value.exit_code == 2

    def test_images_and_sounds_together_are_refused(self, tiny_home: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"a\.png is an image and .*a\.wav is a sound; give files of one kind"):
            lines(tiny_home, make_files(tmp_path, "a.png", "a.wav"), Options(tmp_path / "out"))

    def test_a_folder_and_files_whose_results_have_one_name_are_refused(self, tiny_home: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="is a folder; give files in it"):
            lines(tiny_home, [tmp_path], Options(tmp_path / "out"))
        with pytest.raises(UserError, match=r"a\.png, .*a\.jpg: their results would have the same names"):
            lines(tiny_home, make_files(tmp_path, "a.png", "b.png", "a.jpg"), Options(tmp_path / "out"))

    @pytest.mark.root
    def test_a_home_that_can_only_be_read_is_named(
        self, swept: Ledger, tiny_home: Path, image: Path, tmp_path: Path
    ) -> None:
        for exported in swept.folder.glob("trials/*/model"):
            shutil.rmtree(exported)
        with read_only(tiny_home), pytest.raises(UserError, match=r"model: can't be written \(Read-only file system\)"):
            lines(tiny_home, [image], Options(tmp_path / "out", sweep="paired"))

    def test_a_home_without_such_a_sweep_says_which_to_run(self, home: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"no sweep here generates anything from an image.*image_to_sound.yaml"):
            lines(home, make_files(tmp_path, "a.png"), Options(tmp_path / "out"))

    def test_a_mistyped_sweep_is_suggested(self, swept: Ledger, tiny_home: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"no sweep 'pared'\. Did you mean 'paired'"):
            lines(tiny_home, make_files(tmp_path, "a.png"), Options(tmp_path / "out", sweep="pared"))

    def test_a_folder_that_cannot_be_written_is_named(
        self, swept: Ledger, tiny_home: Path, image: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "out").write_text("a file")
        with pytest.raises(UserError, match=r"--out .*out: can't be written"):
            lines(tiny_home, [image], Options(tmp_path / "out", sweep="paired"))
        (tmp_path / "taken" / "take 0_1.wav").mkdir(parents=True)
        with pytest.raises(UserError, match=r"--out .*taken: can't be written \(Is a directory\)"):
            lines(tiny_home, [image], Options(tmp_path / "taken", sweep="paired"))

    def test_the_command_says_it_too(self, swept: Ledger, tiny_home: Path, image: Path, tmp_path: Path) -> None:
        arguments = ["generate", str(image), "--home", str(tiny_home), "-o", str(tmp_path / "out"), "--count", "1"]
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0 and "the judge predicts" in done.output


ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[2])
model = mlflow.pyfunc.load_model(sys.argv[5])
given = pd.DataFrame({"file": [open(sys.argv[3], "rb").read()], "name": [sys.argv[3]]})
made = model.predict(given, params={"count": 2, "seed": 0})
import trainables
print(trainables.__file__)
open(sys.argv[4], "wb").write(made["file"][0])
print(list(made.columns), len(made))
"""


def predict_alone(uri: str, model: str, given: Path, written: Path) -> str:
    """Write the first output of a model in a process without this checkout; return its columns and the number of rows.

    Without site, the path file of an editable install is not read: nothing of this checkout can be imported.
    """
    arguments = [SITE_PACKAGES, uri, str(given), str(written), model]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-S", "-c", ALONE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=written.parent, env=environment, check=True)
    where, shape = done.stdout.strip().splitlines()[-2:]
    assert "code/trainables" in where
    return shape


class TestPromote:
    def test_its_model_loads_where_this_checkout_is_not(
        self, swept: Ledger, tiny_home: Path, image: Path, tmp_path: Path
    ) -> None:
        uri = f"sqlite:///{tiny_home / 'mlflow.db'}"
        said: list[str] = []
        assert promote(tiny_home, "paired", "tiny", "best", said.append) == "models:/tiny@best"
        client = MlflowClient(uri)
        version = client.get_model_version_by_alias("tiny", "best")
        assert client.get_run(version.run_id).info.status == "FINISHED"
        assert "MLFLOW_TRACKING_URI" not in os.environ, "later sweeps of this process would go there"
        shape = predict_alone(uri, "models:/tiny@best", image, tmp_path / "alone.wav")
        assert shape == "['file', 'class', 'probability'] 2"
        written, _ = lines(tiny_home, [image], Options(tmp_path / "here", model="models:/tiny@best", count=2))
        assert written[0].read_bytes() == (tmp_path / "alone.wav").read_bytes()

    @pytest.mark.parametrize("model", ["models:/nobody@champion", "models:/nobody/7", "no model at all"])
    def test_a_model_that_mlflow_has_not_is_refused(
        self, swept: Ledger, tiny_home: Path, image: Path, tmp_path: Path, model: str
    ) -> None:
        with pytest.raises(UserError, match=f"--model {model}: "):
            lines(tiny_home, [image], Options(tmp_path / "out", model=model))

    def test_a_sweep_without_a_finished_trial_is_refused(self, swept: Ledger, home: Path) -> None:
        folder = home / "paired"
        folder.mkdir()
        shutil.copy(swept.folder / "search_space.yaml", folder)
        events = (swept.folder / "sweep.jsonl").read_text().splitlines(keepends=True)
        begun = next(index for index, line in enumerate(events) if '"event":"attempt"' in line)
        (folder / "sweep.jsonl").write_text("".join(events[: begun + 1]))
        with pytest.raises(
            UserError, match=r"paired: no trial has been finished yet \(\d begun\); wait for the first .* --home "
        ):
            promote(home, "paired", "tiny", "best", print)

    def test_a_sweep_whose_trials_generate_nothing_is_refused(self, swept: Ledger, home: Path) -> None:
        folder = home / "paired"
        folder.mkdir()
        shutil.copy(swept.folder / "sweep.jsonl", folder)
        write_space(folder / "search_space.yaml", name="paired")
        with pytest.raises(UserError, match=r"paired: trainable .*noop.py generates nothing"):
            promote(home, "paired", "tiny", "best", print)

    def test_a_named_trial_is_registered_from_its_own_run(self, swept: Ledger, tiny_home: Path) -> None:
        best = export_trial(tiny_home, "paired", print).origin["trial"]
        other = next(number for number in swept.trials if number != best)
        promote(tiny_home, f"paired/{other}", "another", "best", print)
        client = MlflowClient(f"sqlite:///{tiny_home / 'mlflow.db'}")
        run = client.get_run(client.get_model_version_by_alias("another", "best").run_id)
        assert run.data.tags[words.TAG_TRIAL] == str(other)


class TestExport:
    def test_a_folder_for_the_hub_has_the_model_and_a_card_with_the_numbers_of_the_report(
        self, swept: Ledger, tiny_home: Path, image: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "hub"
        said: list[str] = []
        export(Request(tiny_home, "paired", said.append, print), "hf", out, overwrite=False)
        assert said[-1].endswith(f"hf upload USER/paired {out}")
        export(Request(tiny_home, "paired/1", said.append, print), "hf", tmp_path / "one", overwrite=False)
        assert said[-1].startswith("paired/1 (") and said[-1].endswith(f"hf upload USER/paired-1 {tmp_path / 'one'}")
        model = open_model(out)
        assert model.generate(model.read(image), count=1, seed=0)[0].content.shape == (44100,)
        champion = export_trial(tiny_home, "paired", print)
        card = ModelCard.load(out / "README.md")
        # The Hub's own class names the parts of the head, and reads all numbers back.
        results = {(score.dataset_split, score.metric_type): score.metric_value for score in card.data.eval_results}
        trial = swept.trials[champion.origin["trial"]]
        recorded = {("validation", name): value for name, value in champion.origin["metrics"].items()}
        recorded |= {("test", name): value for name, value in trial.test.items()}
        assert results == {key: value for key, value in recorded.items() if np.isfinite(value)} and len(results) > 40
        assert card.data.to_dict()["library_name"] == "avsweep"
        assert "image_to_sound" in card.data.tags
        write_reports(tiny_home, ["paired"], tmp_path, "md", lambda line: None)
        report = (tmp_path / "paired.md").read_text()
        assert (out / "README.md").read_text().endswith(report) and "| real clips |" in report and "±" in report


def relative_error(sound: np.ndarray, expected: np.ndarray) -> float:
    """Return the energy of the difference, relative to that of the expected sound."""
    return float(np.square(sound - expected).sum() / np.square(expected).sum())


class TestReconstruct:
    def test_a_promoted_autoencoder_renders_what_its_trial_recorded_without_the_files_of_its_user(
        self, reconstructing: Ledger, tiny_home: Path, own_code: Path, tmp_path: Path
    ) -> None:
        media = trial_folder(tiny_home / "sounds", 1) / "media" / "best"
        (original,) = media.glob("*_original.wav")
        (recorded,) = media.glob("*_reconstruction.wav")
        assert promote(tiny_home, "sounds", "sounds", "best", print) == "models:/sounds@best"
        uri = f"sqlite:///{tiny_home / 'mlflow.db'}"
        alone = tmp_path / "alone.wav"
        with moved_away(own_code):
            assert predict_alone(uri, "models:/sounds@best", original, alone) == "['file', 'class', 'probability'] 1"
        (written,), said = lines(tiny_home, [original], Options(tmp_path / "here", model="models:/sounds@best"))
        assert written.name == f"{original.stem}_1.wav" and said[0].startswith("sounds/1 (all), epoch 1: judge")
        assert written.read_bytes() == alone.read_bytes()
        made, expected, given = (soundfile.read(path)[0] for path in (alone, recorded, original))
        # The corpus dithers each clip with other noise; a sound of one's own gets that of its first one.
        assert relative_error(made, expected) < 0.01 < 0.1 < relative_error(given, expected)

    def test_code_that_cannot_be_imported_is_one_line(
        self, reconstructing: Ledger, tiny_home: Path, tmp_path: Path
    ) -> None:
        model = tmp_path / "model"
        shutil.copytree(export_trial(tiny_home, "sounds", print).folder, model)
        (model / "code" / "1" / "own_loss.py").write_text("import no_such_package\n")
        with pytest.raises(UserError, match=r"own_loss\.py: the model needs this file, .*No module named 'no_such_p"):
            open_model(model)

    def test_a_file_that_was_changed_since_is_exported_again(
        self, reconstructing: Ledger, tiny_home: Path, own_code: Path
    ) -> None:
        says: list[str] = []
        carried = export_trial(tiny_home, "sounds", print).folder / "code" / "1" / "smooth.py"
        try:
            (own_code / "smooth.py").write_text(HELPER + "# changed\n")
            export_trial(tiny_home, "sounds", says.append)
            assert says == ["exporting sounds/1"] and carried.read_text().endswith("# changed\n")
        finally:
            (own_code / "smooth.py").write_text(HELPER)

    def test_an_image_is_refused(self, reconstructing: Ledger, tiny_home: Path, image: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="is an image, and sounds generates a sound from a sound; give it one"):
            lines(tiny_home, [image], Options(tmp_path / "out", sweep="sounds"))


def test_a_trial_of_another_sweep_can_be_begun_from(swept: Ledger, tiny_home: Path, tmp_path: Path) -> None:
    from orchestrator.overview.trial_reference import resolve_trained_models

    space = {
        "trainable": "image_to_sound",
        "corpus": {"name": "demo"},
        "objective": {"metric": "val/judge_probability", "mode": "max"},
        "budget": {"seeds": 1, "max_epochs": 1},
        **dict.fromkeys(("compare", "search", "pruning")),
    }
    read = read_search_space(write_space(tmp_path / "next.yaml", **space, params={"audio_init": "paired/1"}))
    found = resolve_trained_models(read, {"audio_init": "paired/1", "lr": 0.1}, tiny_home)
    assert found == {
        "audio_init": str(trial_folder(tiny_home / "paired", 1) / CHECKPOINT / BEST),
        "lr": 0.1,
    }
    assert resolve_trained_models(read, {"audio_init": "scratch"}, tiny_home) == {"audio_init": "scratch"}
    assert resolve_trained_models(read, {"audio_init": "./a.pt"}, tiny_home) == {"audio_init": str(tmp_path / "a.pt")}
    for given, message in (("pared/1", "Did you mean 'paired'"), ("paired/9", "paired has no trial 9; it has 1 to 2")):
        with pytest.raises(UserError, match=f"audio_init: .*{message}"):
            resolve_trained_models(read, {"audio_init": given}, tiny_home)
