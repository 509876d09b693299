"""What is wrong with a search space is said before anything starts, one line each."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import SearchSpaceError, UserError
from orchestrator.search_space.reader import read_search_space
from tests.support.net_space import COMPARE, WITHOUT_COMPARE, go_to_net, mistakes, read, with_presets


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    return go_to_net(tmp_path, monkeypatch)


# Files that can't be read


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "space.yaml: is empty"),
        (b"# nothing\n", "space.yaml: is empty"),
        (b"- a\n- b\n", "space.yaml:1:1: needs keys at the top level (trainable: …), got a list"),
        (b"just words", "space.yaml:1:1: needs keys at the top level (trainable: …), got 'just words'"),
        (b"\x89PNG\r\n\xff\xfe", "space.yaml: is not UTF-8 text"),
        (b"a: \x00", "space.yaml: not YAML: unacceptable character"),
        (b"name: x\nparams: {a: 1\nseed: 0\n", "space.yaml:3:5: not YAML: "),
        (b"name: x\n\tseed: 0\n", "space.yaml:2:1: not YAML: "),
        (b"name: x\n---\nname: y\n", "space.yaml:2:1: not YAML: but found another document"),
        (b"name: *x\n", "space.yaml:1:7: not YAML: found undefined alias"),
        (b"a: &x [*x]\n", "space.yaml:1:4: not usable: &x contains itself (*x); write out what is meant"),
        (b"a: &x {b: [*x]}\n", "space.yaml:1:4: not usable: &x contains itself (*x); write out what is meant"),
        (b"[" * 2000, "space.yaml: not usable: nested too deeply"),
    ],
)
def test_a_file_that_is_no_search_space_is_refused_in_one_line(content: bytes, said: str) -> None:
    path = Path("space.yaml")
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_search_space(path)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_yaml_bomb_is_refused_before_it_goes_off() -> None:
    levels = ["a0: &a0 [" + ", ".join(["x"] * 10) + "]"]
    levels += [f"a{k}: &a{k} [" + ", ".join([f"*a{k - 1}"] * 10) + "]" for k in range(1, 10)]
    path = Path("bomb.yaml")
    path.write_text("\n".join(levels))
    started = time.monotonic()
    with pytest.raises(SearchSpaceError) as caught:
        read_search_space(path)
    assert time.monotonic() - started < 5
    assert str(caught.value) == (
        "bomb.yaml:1:1: not usable: holds 12,345,679,021 values once its aliases (*name) are expanded; at most 100,000 "
        "are read"
    )
    path.write_text(f"a: &a {'x' * 10**6}\nb: [{'*a, ' * 1000}]")
    with pytest.raises(SearchSpaceError, match=r"holds 10,\d+,\d+ values once its aliases"):
        read_search_space(path)


def test_aliases_of_reasonable_size_are_values_as_if_they_were_written_out() -> None:
    (arm, *_) = read(("  size:", "  width: &n 8\n  batch: *n\n  size:")).arms
    assert (arm.fixed["width"], arm.fixed["batch"]) == (8, 8)


def test_a_missing_file_and_a_folder_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"^none\.yaml: no such file$"):
        read_search_space(Path("none.yaml"))
    with pytest.raises(UserError, match=r": is a folder, not a YAML file; name a file in it$"):
        read_search_space(folder)


# Mistakes: what is changed in the file, and the lines that it gives

MISTAKES = {
    "unknown key": (("pruning:", "prunning:"), "12:1: prunning: unknown key 'prunning' (did you mean 'pruning'?)"),
    "unknown section that others refer to": (
        ("compare:", "compar:"),
        "4:1: compar: unknown key 'compar' (did you mean 'compare'?)",
    ),
    "unknown nested key": (("hours: 2", "hour: 2"), "11:45: budget.hour: unknown key 'hour' (did you mean 'hours'?)"),
    "missing section": (
        ("budget: {trials_per_arm: 8, max_epochs: 12, hours: 2}\n", ""),
        "1:1: 'budget' is missing",
    ),
    "missing trainable": (("trainable: ./net.py\n", ""), "1:1: 'trainable' is missing"),
    "missing key": (("max_epochs: 12, ", ""), "11:9: budget: 'max_epochs' is missing"),
    "key written twice": (
        ("  lr:", "  size: 24x64\n  lr:"),
        "9:3: params.size: 'size' is written twice here; first at",
    ),
    "no mapping": (("{grace_epochs: 2}", "yes"), "12:10: pruning: needs a mapping {key: value, …}, got 'yes'"),
    "no whole number": (("max_epochs: 12", "max_epochs: 12.5"), "max_epochs: needs a whole number, got 12.5"),
    "true is no number": (("trials_per_arm: 8", "trials_per_arm: true"), "needs a whole number, got true"),
    "no trials": (("trials_per_arm: 8", "trials_per_arm: 0"), "11:26: budget.trials_per_arm: must be 1 or more, got 0"),
    "no time": (("hours: 2", "hours: 0"), "budget.hours: must be above 0, got 0"),
    "endless": (("hours: 2", "hours: .inf"), "budget.hours: needs a finite number, got inf"),
    "name for a folder": (("name: test", "name: a/b"), "1:7: name: needs letters, digits, '.', '_' and '-' only"),
    "merge key": (("params:\n", "params:\n  <<: {width: 8}\n"), "8:3: params: YAML 1.2 has no merge keys (<<)"),
    "wrong parameter of an own configuration": (
        ("budget:", "trials: [{lr: 1e-3}]\nbudget:"),
        ("[1e-4, 3e-3]", "[3e-3, 1e-4]"),
        "9:7: params.lr: loguniform needs [low, high] with 0 < low < high",
    ),
    "tag": (("48x128", "!size 48x128"), "8:9: params.size: tags such as !size mean nothing here"),
    "list as key": (("name: test", "name: test\n? [a]\n: b"), "2:3: a key must be text"),
    "unknown setting": (
        ("lr:", "lrr:"),
        "9:3: params.lrr: unknown key 'lrr': Net has no such setting (did you mean 'lr'?)",
    ),
    "unknown setting in a bundle": (
        COMPARE,
        ("{batch: 16}", "{batsch: 16}"),
        "7:13: compare.norm.joint.batsch: unknown key 'batsch': Net has no such setting (did you mean 'batch'?)",
    ),
    "unknown compared setting": (
        ("  loss: [l1, l2, vae]", "  los: [l1, l2]"),
        "5:3: compare.los: unknown key 'los': Net has no such setting (did you mean 'loss'?)",
        "6:12: baseline.loss: 'loss' is not compared (did you mean 'los'?); compared are: los",
        "10:45: params.kl_weight.when.loss: 'loss' is not set in this file (did you mean 'los'?)",
    ),
    "unknown setting of some arms": (
        ("budget:", "arms: [{when: {loss: l1}, params: {widht: 3}}]\nbudget:"),
        "11:36: arms.0.params.widht: unknown key 'widht': Net has no such setting (did you mean 'width'?)",
    ),
    "unknown trainable": (
        ("./net.py", "./nett.py"),
        "2:12: trainable: ",
        "nett.py: no such file (did you mean 'net.py'?)",
    ),
    "missing component": (
        ("budget:", "components: [./no.py]\nbudget:"),
        "11:14: components.0: ",
        "no.py: no such file",
    ),
    "unknown metric": (
        ("val/score", "val/scor"),
        "3:21: objective.metric: unknown metric 'val/scor' (did you mean 'val/score'?); Net reports: val/score,",
    ),
    "wrong mode": (("mode: max", "mode: min"), "3:38: objective.mode: val/score is better when it is max, got min"),
    "unknown mode": (("mode: max", "mode: maxi"), "must be 'min' or 'max', got 'maxi' (did you mean 'max'?)"),
    "training loss across arms": (
        ("val/score, mode: max", "train/loss, mode: min"),
        "3:21: objective.metric: train/loss means something else in each arm (its scale depends on the loss); "
        "rank by one of: val/score, val/error",
    ),
    "own units across arms": (
        ("val/score, mode: max", "val/own_error, mode: min"),
        "val/own_error means something else in each arm (it is measured in the units",
    ),
    "unknown loss": (
        ("l2, vae]", "l2, vea]"),
        "5:18: compare.loss.2: must be 'l1', 'l2' or 'vae', got 'vea' (did you mean 'vae'?)",
    ),
    "unknown fixed value": (
        ("48x128", "48x12"),
        "8:9: params.size: must be '24x64' or '48x128', got '48x12' (did you mean '48x128'?)",
    ),
    "unknown choice": (("size: 48x128", "size: {choice: [24x64, 1x1]}"), "8:9: params.size: must be", "got '1x1'"),
    "bound beyond the setting's": (("3e-3", "3"), "9:7: params.lr: must be 1 or less, got 3.0"),
    "fractions for a whole number": (
        ("lr: {", "latent: {uniform: [16, 256]}\n  lr: {"),
        "9:11: params.latent: needs a whole number, got ",
    ),
    "required setting": (("  size: 48x128\n", ""), "8:3: params: 'size' is not set, and Net has no default for it"),
    "setting required in every arm": (
        ("size: 48x128", "size: {choice: [48x128, 24x64], when: {loss: l1}}"),
        "params.size: 'size' has no value in arm loss=l2, and Net has no default for it",
        "params.size: 'size' has no value in arm loss=vae, and Net has no default for it",
    ),
    "settings that don't go together": (
        ("lr: {", "batch: 500\n  lr: {"),
        "8:3: params: batch must be at most 8 x width (128), got 500 (in arm loss=l1)",
    ),
    "settings that don't go together at a bound": (
        ("lr: {", "batch: {int: [1, 200]}\n  lr: {"),
        "9:10: params.batch: batch must be at most 8 x width (128), got 200 (with batch=200 in arm loss=l1)",
    ),
    "unknown domain": (
        ("lr: {loguniform", "lr: {logunifrm"),
        "9:7: params.lr: unknown domain 'logunifrm' (did you mean 'loguniform'?); there are: choice, uniform,",
    ),
    "two domains": (("lr: {", "lr: {uniform: [0, 1], "), "9:7: params.lr: needs one domain (choice, uniform,"),
    "domain without a kind": (("lr: {loguniform: [1e-4, 3e-3]}", "lr: {}"), "9:7: params.lr: needs one domain"),
    "list as a value": (
        ("lr: {loguniform: [1e-4, 3e-3]}", "lr: [1, 2]"),
        "9:7: params.lr: needs one value, or a domain",
    ),
    "no value": (
        ("size: 48x128", "size:"),
        "8:3: params.size: needs text, a finite number, true or false, got nothing",
    ),
    "bound that is no number": (("1e-4", "x"), "9:7: params.lr: loguniform needs [low, high] with 0 < low < high, got"),
    "bound that is not finite": (("1e-4", ".nan"), "got [nan, 0.003]"),
    "bounds the wrong way round": (("[1e-4, 3e-3]", "[3e-3, 1e-4]"), "with 0 < low < high, got [0.003, 0.0001]"),
    "logarithm of zero": (("[1e-4, 3e-3]", "[0, 1]"), "with 0 < low < high, got [0, 1]"),
    "fraction as a bound of whole numbers": (
        ("lr: {", "batch: {int: [1, 2.5]}\n  lr: {"),
        "9:10: params.batch: int needs [low, high], whole numbers with low < high, got [1, 2.5]",
    ),
    "empty choice": (("{loguniform: [1e-4, 3e-3]}", "{choice: []}"), "choice needs a list of different values, got []"),
    "equal choices": (("{loguniform: [1e-4, 3e-3]}", "{choice: [1, 1]}"), "a list of different values, got [1, 1]"),
    "condition on an unknown parameter": (
        ("when: {loss", "when: {lss"),
        "10:45: params.kl_weight.when.lss: 'lss' is not set in this file (did you mean 'loss'?); set are: loss,",
    ),
    "condition on a value that is never taken": (
        ("when: {loss: vae", "when: {loss: vea"),
        "10:51: params.kl_weight.when.loss: loss is never 'vea' (did you mean 'vae'?); it is: l1, l2, vae",
    ),
    "condition on a continuous value": (
        ("when: {loss: vae", "when: {lr: 0.001"),
        "params.kl_weight.when.lr: lr is never 0.001; it is: drawn from loguniform [0.0001, 0.003]",
    ),
    "condition without values": (
        ("when: {loss: vae}", "when: {loss: []}"),
        "10:44: params.kl_weight.when: needs {name: value} or {name: [value, …]}, got {'loss': []}",
    ),
    "conditions in a circle": (
        ("lr: {", "latent: {choice: [1, 2], when: {width: 8}}\n  width: {choice: [8, 9], when: {latent: 1}}\n  lr: {"),
        "9:34: params.latent.when: conditions go round in a circle: latent needs width needs latent",
    ),
    "conditions that exclude each other": (
        (
            "lr: {",
            "latent: {choice: [1, 2]}\n  width: {choice: [8, 9], when: {latent: 1}}\n"
            "  batch: {choice: [3, 4], when: {width: 8, latent: 2}}\n  lr: {",
        ),
        "11:33: params.batch.when: can never hold, so batch never has a value",
    ),
    "nothing compared": (("[l1, l2, vae]", "[]"), "5:9: compare.loss: compares nothing: needs at least one value"),
    "compared too much": (
        ("  loss: [l1, l2, vae]\n", "  loss: [l1, l2, vae]\n" + "".join(f"  k{n}: {[*range(10)]}\n" for n in range(9))),
        "5:3: compare: makes 3,000,000,000 combinations, each an arm with a study of its own; at most 1,000 are run",
    ),
    "single value compared": (("[l1, l2, vae]", "l1"), "5:9: compare.loss: needs a list of values, or bundles"),
    "compared and set": (("  size:", "  loss: l1\n  size:"), "8:3: params.loss: loss is under compare too; delete one"),
    "compared twice": (("l2, vae]", "l2, l2, vae]"), "5:18: compare.loss.2: 'l2' is compared twice"),
    "compared twice under one name": (
        ("  loss: [l1, l2, vae]", "  loss: [l1, l2, vae]\n  width: [8, '8']"),
        "6:14: compare.width.1: '8' is compared twice, which makes the same arm twice",
    ),
    "set by two bundles": (
        ("  loss: [l1, l2, vae]\n", "  loss: [l1, l2, vae]\n  norm: {joint: {loss: l1}, wide: {width: 8}}\n"),
        "6:18: compare.norm.joint.loss: compare.loss sets loss too; one of them has to go",
    ),
    "bundles with the name of a setting": (
        ("  loss: [l1, l2, vae]\n", "  loss: [l1, l2, vae]\n  width: {a: {batch: 8}, b: {batch: 4}}\n"),
        "6:3: compare.width: width is a setting of Net; list its values, or give the bundles another name",
    ),
    "the same arm twice": (
        COMPARE,
        ("{width: 64}", "{batch: 16, use_ema: false}"),
        "8:11: compare.norm.wide: arms loss=l1, norm=joint and loss=l1, norm=wide are the same",
    ),
    "unknown baseline": (
        ("{loss: l2}", "{los: l2}"),
        "6:12: baseline.los: 'los' is not compared (did you mean 'loss'?)",
    ),
    "unknown baseline value": (
        ("{loss: l2}", "{loss: l3}"),
        "6:18: baseline.loss: 'l3' is not compared (did you mean 'l2'?); l1, l2, vae are",
    ),
    "skipped baseline": (
        ("budget:", "skip: [{loss: l2}]\nbudget:"),
        "6:11: baseline: all arms of the baseline are skipped",
    ),
    "skip of nothing": (
        ("budget:", "skip: [{loss: l2, size: 24x64}]\nbudget:"),
        "11:25: skip.0.size: size is never '24x64'",
    ),
    "skip of a value among others that is never taken": (
        ("budget:", "skip: [{loss: [l1, vea]}]\nbudget:"),
        "11:15: skip.0.loss: loss is never 'vea' (did you mean 'vae'?)",
    ),
    "skip of values that no arm has together": (
        COMPARE,
        ("budget:", "skip: [{batch: 16, width: 64}]\nbudget:"),
        "skip.0: no arm has batch=16, width=64",
    ),
    "skip by a searched parameter": (
        ("budget:", "skip: [{lr: 0.001}]\nbudget:"),
        "11:9: skip.0.lr: lr is searched inside arms, so it can't pick arms; compared and fixed parameters can",
    ),
    "everything skipped": (("budget:", "skip: [{loss: [l1, l2, vae]}]\nbudget:"), "11:7: skip: skips all 3 arms"),
    "change of no arm": (
        ("budget:", "arms: [{when: {loss: l3}, params: {batch: 3}}]\nbudget:"),
        "11:22: arms.0.when.loss: loss is never 'l3'",
    ),
    "change of what is compared": (
        ("budget:", "arms: [{when: {loss: l1}, params: {loss: l2}}]\nbudget:"),
        "11:36: arms.0.params.loss: loss is compared, so an arm can't change it",
    ),
    "change without a condition": (
        ("budget:", "arms: [{params: {batch: 3}}]\nbudget:"),
        "11:8: arms.0: 'when' is missing",
    ),
    "grace beyond the end": (
        ("grace_epochs: 2", "grace_epochs: 12"),
        "12:25: pruning.grace_epochs: must be below budget.max_epochs (12), got 12",
    ),
    "one and a half cards": (
        ("budget:", "resources: {gpu: 1.5}\nbudget:"),
        "11:18: resources.gpu: must be a part of one GPU (0.25) or whole GPUs (2), got 1.5",
    ),
    "a card that isn't asked for": (
        ("budget:", "resources: {require_gpu: true}\nbudget:"),
        "11:26: resources.require_gpu: needs resources.gpu above 0, got 0",
    ),
    "unknown corpus": (("budget:", "corpus: {name: dmo}\nbudget:"), "11:9: corpus: unknown corpus 'dmo'"),
    "corpus without a root": (
        ("budget:", "corpus: {name: folder}\nbudget:"),
        "11:9: corpus: 'root' is missing: corpus folder needs it, the folder with one sub-folder of audio or video",
    ),
    "corpus with an unknown key": (
        ("budget:", "corpus: {name: folder, rot: x, root: y}\nbudget:"),
        "11:24: corpus.rot: unknown key 'rot' (did you mean 'root'?); corpus folder has: "
        "name, rate_hz, clip_s, hop_s, channels, in_memory_gib, root, follow_links",
    ),
    "corpus with a wrong number": (
        ("budget:", "corpus: {name: demo, recordings_per_class: 2}\nbudget:"),
        "11:44: corpus.recordings_per_class: must be 3 or more, got 2",
    ),
    "clips of no length": (
        ("budget:", "corpus: {name: demo, clip_s: 0}\nbudget:"),
        "11:30: corpus.clip_s: must be above 0, got 0",
    ),
    "clips of a negative length": (
        ("budget:", "corpus: {name: demo, clip_s: -2}\nbudget:"),
        "11:30: corpus.clip_s: must be above 0, got -2",
    ),
    "clips that are too long for the memory": (
        ("budget:", "corpus: {name: demo, clip_s: 31}\nbudget:"),
        "11:30: corpus.clip_s: must be 30 or less, got 31",
    ),
    "clips that are too short for the judge": (
        ("budget:", "corpus: {name: demo, clip_s: 0.3}\nbudget:"),
        "11:9: corpus: clip_s: 0.3: a clip needs 48 frames, 0.50 s at rate_hz: 22050; use 0.50 or more",
    ),
    "clips that never advance": (
        ("budget:", "corpus: {name: demo, hop_s: 0}\nbudget:"),
        "11:29: corpus.hop_s: must be 0.1 or more, got 0",
    ),
    "a channel that no recording has": (
        ("budget:", "corpus: {name: demo, channels: middle}\nbudget:"),
        "11:32: corpus.channels: must be 'mix', 'left' or 'right', got 'middle'",
    ),
    "settings of a corpus that do not go together": (
        ("budget:", "corpus: {name: esc50, root: x, test_fold: 4}\nbudget:"),
        "11:9: corpus: validation_fold and test_fold are both 4; hold out two different folds",
    ),
    "corpus without a name": (("budget:", "corpus: {root: x}\nbudget:"), "corpus: needs a name, such as {name: demo}"),
    "no epoch": (
        ("budget:", "media: {epochs: [0, best]}\nbudget:"),
        "media.epochs: needs epochs from 1 on, or best, got 0",
    ),
}


@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_with_its_place_what_was_given_and_what_is_allowed(case: tuple[Any, ...]) -> None:
    edits = [part for part in case if isinstance(part, tuple)]
    expected = [part for part in case if isinstance(part, str)]
    lines = mistakes(*edits)
    assert all(line.startswith("space.yaml:") and "\n" not in line for line in lines)
    # The parts belong to one line, or each to a line of its own.
    found = lines * len(expected) if len(lines) == 1 else lines
    for part, line in zip(expected, found, strict=True):
        assert part in line


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "params.learning_rate=1e-3",
            "--set params.learning_rate=1e-3: unknown key 'learning_rate': Autoencoder has no such setting (did you "
            "mean 'lr'?); also near: discriminator_lr, warmup_steps, lr_decay_steps, linear_path; all 44: "
            "docs/search_space_reference.md, or orchestrate schema",
        ),
        (
            "budgt.hours=2",
            "--set budgt.hours=2: unknown key 'budgt' (did you mean 'budget'?); also near: judges; all 28: "
            "docs/search_space_reference.md, or orchestrate schema",
        ),
        (
            "objective.metric=val/judge",
            "--set objective.metric=val/judge: unknown metric 'val/judge' (did you mean 'val/judge_probability'?); "
            "also near: val/judge_accuracy, val/kid, val/fvu, val/fad; all 31: docs/search_space_reference.md",
        ),
    ],
    ids=["setting", "key", "metric"],
)
def test_of_many_names_the_nearest_are_listed_and_where_all_are(override: str, said: str) -> None:
    with pytest.raises(SearchSpaceError) as caught:
        read_search_space(Path(__file__).parents[2] / "search_spaces" / "vae.yaml", overrides=[override])
    assert said in caught.value.lines


def test_all_mistakes_are_said_together_in_the_order_of_the_file() -> None:
    lines = mistakes(
        ("val/score", "val/scor"),
        ("baseline: {loss: l2}", "baseline: {los: l2}"),
        ("48x128", "48x12"),
        ("lr: {loguniform", "lr: {logunifrm"),
        ("trials_per_arm: 8", "trials_per_arm: x"),
        ("grace_epochs", "grace_epoch"),
        overrides=["seed=-1", "confirm.tp=3"],
    )
    keys = [line.split(": ")[1] for line in lines[:-2]]
    assert keys == [
        "objective.metric",
        "baseline.los",
        "params.size",
        "params.lr",
        "budget.trials_per_arm",
        "pruning.grace_epoch",
    ]
    assert [line.split(": ")[0] for line in lines[-2:]] == ["--set confirm.tp=3", "--set seed=-1"]


def test_what_refers_to_a_wrong_name_is_not_complained_about_too() -> None:
    lines = mistakes(("lr: {loguniform: [1e-4", "lr: {choice: [1, 2, 1"), ("when: {loss: vae}", "when: {lr: 1}"))
    assert [line.split(": ")[1] for line in lines] == ["params.lr"]


def test_a_broken_bundle_makes_no_other_mistakes() -> None:
    skip = ("budget:", "skip: [{loss: vae, norm: wide}]\nbudget:")
    lines = mistakes(COMPARE, skip, ("joint: {batch: 16}", "joint: 3"))
    assert [line.split(": ")[1] for line in lines] == ["compare.norm.joint"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("budget", "needs key=value, such as budget.max_epochs=60"),
        ("=3", "needs key=value, such as budget.max_epochs=60"),
        ("budget.max_epoch=3", "unknown key 'max_epoch' (did you mean 'max_epochs'?)"),
        ("budget.max_epochs=many", "needs a whole number, got 'many'"),
        ("budget.max_epochs=", "needs a whole number, got nothing"),
        ("params.lr={loguniform: [1, 0.1]}", "loguniform needs [low, high] with 0 < low < high, got [1, 0.1]"),
        ("params.size=1x1", "must be '24x64' or '48x128', got '1x1'"),
        ("name.x=3", "name is 'test', so nothing can be set in it"),
        ("compare.loss.9=l1", "compare.loss is a list with indices 0 to 2, got '9'"),
        ("params.lr=[", "not YAML: "),
        ("corpus={name: folder, root: a, name: b}", "'name' is written twice here"),
    ],
)
def test_a_mistake_in_an_option_names_the_option(override: str, said: str) -> None:
    (line,) = mistakes(overrides=[override])
    assert line.startswith(f"--set {override}: {said}")


def test_an_unknown_preset_names_the_nearest() -> None:
    said = "--preset bigg: space.yaml has no such preset (did you mean 'big'?); it has: big, small"
    assert mistakes(with_presets(), preset="bigg") == [said]
    assert mistakes(preset="big") == ["--preset big: space.yaml has no such preset; it has none"]


def test_a_mistake_in_a_preset_is_found_without_asking_for_it() -> None:
    lines = mistakes(with_presets(), ("{max_epochs: 60}", "{max_epoch: 60}"), ("0.2]", "2]"), preset="small")
    assert [line.split(": ", 2)[1:] for line in lines] == [
        ["budget.max_epoch", lines[0].split(": ", 2)[2]],
        ["params.lr", "must be 1 or less, got 2"],
    ]


def test_a_preset_that_is_no_mapping_is_refused() -> None:
    assert "presets.big: needs a mapping" in mistakes(("pruning: {grace_epochs: 2}", "presets: {big: 3}"))[0]
    assert "presets: needs a mapping" in mistakes(("pruning: {grace_epochs: 2}", "presets: [3]"))[0]


def test_a_wrong_name_option_is_named() -> None:
    assert mistakes(name="a b") == [
        "--name a b: needs letters, digits, '.', '_' and '-' only, a letter or digit first, got 'a b'"
    ]


def test_a_training_loss_may_order_the_trials_of_a_single_arm() -> None:
    one = (WITHOUT_COMPARE, (", when: {loss: vae}", ""))
    assert len(read(*one, ("val/score, mode: max", "train/loss, mode: min")).arms) == 1


@pytest.mark.parametrize("name", ["val/loss", "train/score"])
def test_the_declaration_of_a_metric_decides_whether_it_orders_arms_not_its_name(name: str, folder: Path) -> None:
    net = folder / "net.py"
    declared = f'"{name}": Metric("min", "all", "a share"),'
    net.write_text(net.read_text().replace("METRICS = {", "METRICS = {" + declared))
    edit = ("val/score, mode: max", f"{name}, mode: min")
    assert read(edit).space.objective.metric == name
    net.write_text(net.read_text().replace(declared, declared.replace("all", "same_loss")))
    shutil.move(net, "other_net.py")
    (line,) = mistakes(edit, ("./net.py", "./other_net.py"))
    assert f"objective.metric: {name} means something else in each arm (its scale depends on the loss); rank" in line


def test_a_trainable_that_trains_on_clips_needs_a_corpus(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "name: x\ntrainable: autoencoder\nobjective: {metric: val/judge_probability, mode: max}\n"
        "params: {loss: l2}\nbudget: {seeds: 3, max_epochs: 1}\n"
    )
    with pytest.raises(SearchSpaceError) as refused:
        read_search_space(path)
    (line,) = refused.value.lines
    assert line == f"{path}:2:12: trainable: autoencoder needs a corpus; add corpus: {{name: demo}}, or one of your own"
