"""What a search space means: its arms, presets, options and paths."""

import os
from pathlib import Path

import pytest

from orchestrator.commands.planning.plan import make_plan
from orchestrator.errors import SearchSpaceError
from orchestrator.search_space.domains import Choice, LogUniform
from orchestrator.search_space.reader import Arm, Sweep, read_search_space, read_stored
from tests.support.net_space import COMPARE, SPACE, WITHOUT_COMPARE, go_to_net, mistakes, read, with_presets
from tests.support.spaces import write_space


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    return go_to_net(tmp_path, monkeypatch)


def arm(sweep: Sweep, name: str) -> Arm:
    return next(each for each in sweep.arms if each.name == name)


def test_arms_are_all_combinations_in_the_order_of_the_file() -> None:
    names = [arm.name for arm in read(COMPARE).arms]
    assert names == [f"loss={loss}, norm={norm}" for loss in ("l1", "l2", "vae") for norm in ("joint", "wide")]


def test_an_arm_has_the_parameters_of_its_values_and_bundles() -> None:
    found = arm(read(COMPARE), "loss=vae, norm=joint")
    assert found.compared == {"loss": "vae", "norm": "joint"}
    assert found.fixed == {"size": "48x128", "loss": "vae", "batch": 16}
    assert found.searched == {"lr": LogUniform(low=1e-4, high=3e-3), "kl_weight": LogUniform(low=1e-3, high=4)}


def test_a_parameter_is_not_there_where_its_condition_does_not_hold() -> None:
    sweep = read()
    assert [sorted(arm.searched) for arm in sweep.arms] == [["lr"], ["lr"], ["kl_weight", "lr"]]
    assert all(not arm.when for arm in sweep.arms)


def test_without_compare_there_is_one_arm_called_all() -> None:
    sweep = read(WITHOUT_COMPARE, ("kl_weight: {loguniform: [1e-3, 4], when: {loss: vae}}", "loss: vae"))
    assert [arm.name for arm in sweep.arms] == ["all"]
    assert sweep.arms[0].fixed == {"size": "48x128", "loss": "vae"}


def test_a_bundle_wins_over_params_and_arms_over_both() -> None:
    changes = "arms:\n- {when: {norm: joint}, params: {width: 32}}\n- {when: {norm: wide}, params: {batch: 8}}\nbudget:"
    sweep = read(COMPARE, ("  size:", "  batch: 4\n  size:"), ("budget:", changes))
    assert {arm.compared["norm"]: (arm.fixed["batch"], arm.fixed["width"]) for arm in sweep.arms} == {
        "joint": (16, 32),
        "wide": (8, 64),
    }


def test_arms_change_only_the_resources_that_they_name() -> None:
    changes = "resources: {cpu: 2}\narms: [{when: {loss: [l1, vae]}, resources: {gpu: 1}}]\nbudget:"
    sweep = read(("budget:", changes))
    assert [(arm.resources.cpu, arm.resources.gpu) for arm in sweep.arms] == [(2, 1), (2, 0), (2, 1)]


def test_skipped_combinations_are_named_with_their_reason() -> None:
    sweep = read(COMPARE, ("budget:", "skip: [{loss: [vae, l1], norm: wide}]\nbudget:"))
    assert [arm.name for arm in sweep.arms] == [
        "loss=l1, norm=joint",
        "loss=l2, norm=joint",
        "loss=l2, norm=wide",
        "loss=vae, norm=joint",
    ]
    assert sweep.skipped == (
        "loss=l1, norm=wide (skip: loss=vae|l1, norm=wide)",
        "loss=vae, norm=wide (skip: loss=vae|l1, norm=wide)",
    )


CHAIN = (
    "  size: 48x128\n",
    "  size: 48x128\n  batch: {int: [1, 4], when: {width: 8}}\n"
    "  width: {choice: [8, 16], when: {latent: [64, 256]}}\n  latent: {choice: [32, 64, 256]}\n",
)


def test_conditions_on_searched_parameters_stay_open_and_refer_to_earlier_ones() -> None:
    found = read(CHAIN).arms[0]
    order = list(found.searched)
    assert order.index("latent") < order.index("width") < order.index("batch")
    assert found.when == {"batch": {"width": (8,)}, "width": {"latent": (64, 256)}}
    assert not found.is_active("width", {"latent": 32})
    assert found.is_active("width", {"latent": 256})
    assert not found.is_active("batch", {"latent": 32})


def test_drawing_asks_only_for_active_parameters() -> None:
    found = read(CHAIN).arms[0]
    low = found.draw(lambda name, domain: domain.at(0))
    high = found.draw(lambda name, domain: domain.at(0.999))
    assert low.keys() == {"latent", "lr"}
    assert high.keys() == {"latent", "lr", "width"}
    every = found.draw(
        lambda name, domain: domain.at(0.5) if isinstance(domain, Choice) and name == "latent" else domain.at(0)
    )
    assert every.keys() == {"latent", "lr", "width", "batch"}


def test_numbers_are_yaml_1_2() -> None:
    sweep = read(("  size:", "  use_ema: true\n  latent: 1_000\n  size:"), ("3e-3", "3E-3"))
    assert sweep.arms[0].fixed["use_ema"] is True
    assert sweep.arms[0].fixed["latent"] == 1000


@pytest.mark.parametrize("word", ["none", "null", "~"])
def test_none_switches_a_part_off(word: str) -> None:
    space = read(("{grace_epochs: 2}", word), ("hours: 2", f"hours: {word}"), overrides=["corpus=none"]).space
    assert (space.pruning, space.budget.hours, space.corpus) == (None, None, None)


def test_what_is_left_out_has_defaults() -> None:
    space = read(("pruning: {grace_epochs: 2}\n", ""), ("name: test\n", "")).space
    assert space.name == "space"
    assert (space.pruning, space.confirm, space.corpus, space.seed) == (None, None, None, 0)
    assert (space.resources.cpu, space.resources.gpu, space.limits.minutes_per_epoch) == (1, 0, None)
    assert space.media.epochs[-1] == "best"


def test_a_preset_is_merged_deeply_and_replaces_domains_as_a_whole() -> None:
    sweep = read(with_presets(), preset="big")
    assert (sweep.space.budget.max_epochs, sweep.space.budget.trials_per_arm) == (60, 8)
    assert sweep.arms[0].searched == {"lr": Choice(options=(0.1, 0.2))}
    assert sweep.space.confirm is not None
    assert (sweep.space.confirm.top, sweep.space.confirm.seeds) == (2, 1)


def test_without_preset_the_file_is_as_it_stands() -> None:
    assert read(with_presets()).space.budget.max_epochs == 12


def test_the_corpus_of_a_preset_inherits_nothing_from_another_corpus() -> None:
    base = ("budget:", "corpus: {name: demo, recordings_per_class: 3}\nbudget:")
    presets = ("pruning: {grace_epochs: 2}\n", "presets: {real: {corpus: {name: vegas, root: data}}}\n")
    assert read(base, presets, preset="real").space.corpus == {"name": "vegas", "root": os.path.abspath("data")}


def test_options_are_set_in_order_over_the_preset() -> None:
    options = [
        "budget.max_epochs=5",
        "budget.max_epochs=7",
        "pruning.reduction_factor=4",
        "limits.minutes_per_epoch=1.5",
    ]
    space = read(with_presets(), preset="big", overrides=[*options, "compare.loss=[l2, vae]"], name="other").space
    assert space.budget.max_epochs == 7
    assert space.pruning is not None
    assert (space.pruning.grace_epochs, space.pruning.reduction_factor) == (2, 4)
    assert space.limits.minutes_per_epoch == 1.5
    assert space.compare == {"loss": ("l2", "vae")}
    assert space.name == "other"


def test_an_option_or_a_preset_may_leave_conditions_of_the_file_without_a_case() -> None:
    changes = ("budget:", "arms: [{when: {loss: vae}, params: {batch: 4}}]\nskip: [{loss: [vae, l3]}]\nbudget:")
    sweep = read(changes, overrides=["compare.loss=[l1, l2]"])
    assert [sorted(arm.searched) for arm in sweep.arms] == [["lr"], ["lr"]]
    narrow = ("pruning: {grace_epochs: 2}\n", "presets: {narrow: {compare: {loss: [l1, l2]}}}\n")
    assert len(read(narrow, preset="narrow").arms) == 2


def test_what_an_option_has_narrowed_can_be_read_again_from_the_sweeps_folder(folder: Path) -> None:
    stored = folder / "narrowed"
    stored.mkdir()
    (stored / "search_space.yaml").write_text(read(overrides=["compare.loss=[l1, l2]"]).text)
    again = read_stored(stored)
    assert again.name == "narrowed" and [arm.name for arm in again.arms] == ["loss=l1", "loss=l2"]
    assert read_stored(stored, ["budget.max_epochs=99"]).space.budget.max_epochs == 99
    # A new option is checked as ever.
    with pytest.raises(SearchSpaceError, match="loss is never 'l3'"):
        read_stored(stored, ["skip=[{loss: l3}]"])


def test_an_option_reaches_into_lists_and_over_none() -> None:
    text = ("pruning: {grace_epochs: 2}", "pruning: none\narms: [{when: {loss: l1}, params: {batch: 4}}]")
    sweep = read(text, overrides=["arms.0.params.batch=8", "pruning.grace_epochs=3"])
    assert sweep.arms[0].fixed["batch"] == 8
    assert sweep.space.pruning is not None


def test_paths_start_at_the_file_and_those_of_options_at_the_current_folder(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "parts.py").write_text("")
    text = SPACE.replace("./net.py", "../net.py") + "corpus: {name: folder, root: ../data}\ncomponents: [../parts.py]\n"
    (folder / "sub" / "space.yaml").write_text(text)
    space = read_search_space(Path("sub/space.yaml")).space
    assert (space.trainable, space.corpus) == (f"{folder}/net.py", {"name": "folder", "root": f"{folder}/data"})
    assert space.components == (folder / "parts.py",)
    overrides = ["corpus.root=data", "components=[parts.py]", "trainable=net.py"]
    assert read_search_space(Path("sub/space.yaml"), overrides=overrides).space == space


def test_a_tilde_is_the_home(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("HOME", str(folder / "home"))
    space = read(("budget:", "corpus: {name: folder, root: ~/data}\nbudget:")).space
    assert space.corpus == {"name": "folder", "root": f"{folder}/home/data"}


def test_the_text_gives_the_same_sweep_from_another_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = ("budget:", "corpus: {name: folder, root: 'a b: c/1e5'}\nskip: [{loss: l1, norm: wide}]\nbudget:")
    options = ["params.lr={loguniform: [1e-5, 1e-2]}", "params.latent={choice: [1, 64]}"]
    sweep = read(COMPARE, odd, with_presets(), preset="big", overrides=options, name="x")
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    Path("copy.yaml").write_text(sweep.text)
    again = read_search_space(Path("copy.yaml"))
    assert (again.space, again.arms, again.skipped, again.text) == (
        sweep.space,
        sweep.arms,
        sweep.skipped,
        sweep.text,
    )
    assert "presets" not in sweep.text


def test_another_corpus_drops_what_only_the_old_one_has_and_says_so() -> None:
    demo = ("budget:", "corpus: {name: demo, recordings_per_class: 40, seed: 1}\nbudget:")
    sweep = read(demo, overrides=["corpus.root=data", "corpus.name=folder"])
    assert sweep.space.corpus == {"name": "folder", "root": os.path.abspath("data")}
    assert sweep.remarks == (
        "corpus: recordings_per_class is dropped, folder has none",
        "corpus: seed is dropped, folder has none",
    )
    assert set(sweep.remarks) < set(make_plan(sweep).notes)
    assert read(demo, overrides=["corpus.recordings_per_class=3"]).remarks == ()


def test_what_an_option_sets_is_refused_where_the_corpus_has_no_such_key() -> None:
    demo = ("budget:", "corpus: {name: demo}\nbudget:")
    (line,) = mistakes(demo, overrides=["corpus.seed=3", "corpus.name=folder", "corpus.root=data"])
    known = "name, rate_hz, clip_s, hop_s, channels, in_memory_gib, root, follow_links"
    assert line == f"--set corpus.seed=3: unknown key 'seed'; corpus folder has: {known}"
    (line,) = mistakes(demo, overrides=["corpus.name=foldr"])
    assert "Did you mean 'folder'" in line


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml")), ids=str)
def test_the_way_to_ones_own_sounds_works_for_every_search_space(path: Path, folder: Path) -> None:
    sweep = read_search_space(path, overrides=["corpus.name=folder", f"corpus.root={folder}"])
    assert sweep.space.corpus == {"name": "folder", "root": str(folder)}


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml")), ids=str)
def test_shipped_search_spaces_are_right_with_all_their_presets(path: Path) -> None:
    assert path.read_text().startswith(
        "# yaml-language-server: $schema=schema.json\n# orchestrate sweep search_spaces/"
    )
    assert read_search_space(path).name == path.stem
    if "presets:" in path.read_text():
        space = read_search_space(path, preset="vegas").space
        assert space.confirm is not None or space.budget.seeds is not None


def test_a_corpus_of_ones_own_comes_from_a_component(tmp_path: Path) -> None:
    (tmp_path / "birds.py").write_text(
        "from typing import Literal\n"
        "from trainables.corpora.settings import CORPORA, Folder\n"
        "@CORPORA.register('birds')\n"
        "class Birds(Folder):\n"
        "    name: Literal['birds'] = 'birds'\n"
        "    def source(self) -> str:\n"
        "        return f'birds {self.root}'\n"
    )
    space = write_space(
        tmp_path / "own.yaml", components=["./birds.py"], corpus={"name": "birds", "root": str(tmp_path)}
    )
    assert read_search_space(space).space.corpus == {"name": "birds", "root": str(tmp_path)}
