"""The keys of a search space, with their types, defaults and bounds.

Each key is checked by itself here; rules between keys are in `arms` and `checks`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from orchestrator.messages import quote_value
from orchestrator.search_space.command import Command
from orchestrator.search_space.names import MAX_SWEEP_CHARACTERS, SWEEP_NAME, check_sweep_name
from orchestrator.search_space.objective import Objective, Pruning
from orchestrator.search_space.sampler import Search
from orchestrator.search_space.scalars import Value
from orchestrator.search_space.section import Cache, Disk, NoneWord, Notice, Resources, Section, StopWhen
from orchestrator.search_space.values import VALUE_SCHEMA, Comparison, Conditions, Parameters, PlainValue, Values
from orchestrator.storage.address import parse_address


class Budget(Section):
    """The number of trials and epochs, and the time limit."""

    trials_per_arm: Annotated[int | None, NoneWord] = Field(None, ge=1, description="trials that every arm gets")
    seeds: Annotated[int | None, NoneWord] = Field(
        None, ge=1, description="instead, if nothing is searched: the number of seeds of each arm's configuration"
    )
    max_epochs: int = Field(ge=1, description="epochs of a trial that isn't pruned")
    hours: Annotated[float | None, NoneWord] = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="time limit of the sweep, which `orchestrate resume` can extend; or none",
    )
    gpu_hours: Annotated[float | None, NoneWord] = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="GPU-hours that all trials may use together; or none",
    )
    cost: Annotated[float | None, NoneWord] = Field(
        None, gt=0, allow_inf_nan=False, description="what these hours may cost at price_per_gpu_hour; or none"
    )
    price_per_gpu_hour: Annotated[float | None, NoneWord] = Field(
        None, gt=0, allow_inf_nan=False, description="the price of a GPU for an hour, in the unit of cost; or none"
    )
    stop_when: Annotated[StopWhen | None, NoneWord] = Field(
        None,
        description="when the search of an arm ends early: {no_better_for: 12}, {regret_below: 0.01}, or none",
    )

    @model_validator(mode="after")
    def _check_cost(self) -> Self:
        if self.cost is not None and self.price_per_gpu_hour is None:
            raise ValueError("has cost, which needs price_per_gpu_hour")
        return self

    @model_validator(mode="after")
    def _check_trials(self) -> Self:
        set_fields = [name for name in ("trials_per_arm", "seeds") if getattr(self, name) is not None]
        if len(set_fields) != 1:
            raise ValueError(f"needs either trials_per_arm or seeds, got {' and '.join(set_fields) or 'neither'}")
        return self

    @property
    def trials(self) -> int:
        """The number of trials of an arm's search."""
        return self.trials_per_arm or self.seeds or 0


class Limits(Section):
    """The limits at which a trial or an arm is stopped."""

    minutes_per_epoch: Annotated[float | None, NoneWord] = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="a trial whose epoch takes longer is stopped; its start and evaluation may take 10 times as long",
    )
    blowup: Annotated[float | None, NoneWord] = Field(
        10,
        gt=1,
        allow_inf_nan=False,
        description="a trial diverges if a loss exceeds this many times its median, or none",
    )
    collapsed_epochs: Annotated[int | None, NoneWord] = Field(
        3, ge=1, description="a trial diverges after this many epochs in a row of constant output or no KL, or none"
    )
    max_same_errors: Annotated[int | None, NoneWord] = Field(
        3, ge=1, description="an arm pauses after this many failures in a row with the same traceback, or none"
    )
    max_machine_failures: int = Field(
        3, ge=0, description="a trial fails after more deaths of its process than this; each is tried again"
    )
    seconds_after_sigterm: float = Field(
        20, ge=0, le=86400, description="an epoch is broken off if it does not end so soon after SIGTERM"
    )
    slow_machines: Literal["leave_out", "keep"] = Field(
        "leave_out",
        description="whether a machine on which the epochs of trial after trial take over 3 times as long as elsewhere "
        "gets no more trials, or is only named",
    )


class Confirm(Section):
    """The confirm stage: the best configurations run again, and are evaluated on the test split."""

    top: int = Field(3, ge=1, description="configurations of each arm that run again at full budget")
    seeds: int = Field(1, ge=1, description="fresh seeds for each of them")


def _check_epochs(epochs: tuple[int | str, ...]) -> tuple[int | str, ...]:
    for epoch in epochs:
        if epoch != "best" and (isinstance(epoch, str) or epoch < 1):
            raise ValueError(f"needs epochs from 1 on, or best, got {epoch!r}")
    return epochs


def _check_different(values: tuple[Value, ...]) -> tuple[Value, ...]:
    twice = [value for index, value in enumerate(values) if value in values[:index]]
    if twice:
        raise ValueError(f"has {twice[0]!r} twice")
    return values


class Media(Section):
    """The sounds and pictures that trials render."""

    clips: int = Field(8, ge=0, description="probe clips that every trial renders")
    epochs: Annotated[tuple[int | str, ...], Field(strict=False), AfterValidator(_check_epochs)] = Field(
        (1, 5, 20, "best"), description="epochs at which they are rendered, those that a trial reaches"
    )


class ArmChange(Section):
    """Parameters and resources that differ in some arms."""

    when: Conditions = Field(description="compared or fixed parameters by which the arms are picked")
    params: Parameters = Field({}, description="parameters that these arms have instead")
    resources: Resources = Field(Resources(), description="resources that these arms have instead")


def _parse_judge(entry: Any) -> Any:
    """Return an entry of `judges` as a mapping with a name."""
    if isinstance(entry, str):
        return {"name": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ValueError(f"needs a name, a path or a mapping with a name, got {quote_value(entry)}")
    return entry


JudgeEntry = Annotated[
    dict[str, PlainValue],
    BeforeValidator(_parse_judge),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "object", "required": ["name"], "additionalProperties": VALUE_SCHEMA},
            ]
        }
    ),
]
"""A judge in YAML: a name, a path, or a mapping with a name and the judge's settings."""


def _check_corpus(corpus: dict[str, Any] | None) -> dict[str, Any] | None:
    if corpus is not None and not isinstance(corpus.get("name"), str):
        raise ValueError("needs a name, such as {name: demo}")
    return corpus


def _check_storage(address: str | None) -> str | None:
    if address is not None:
        parse_address(address)
    return address


def _form_of_trainable(value: object) -> str:
    return "mapping" if isinstance(value, dict | Command) else "name"


def _drop_none(pruning: Pruning | None) -> Pruning | None:
    return None if pruning is not None and pruning.kind == "none" else pruning


class SearchSpace(Section):
    """The search space of a sweep: one YAML file with all of its settings."""

    name: Annotated[str, AfterValidator(check_sweep_name)] = Field(
        description="of the sweep and its folder; the file's name if omitted",
        json_schema_extra={"pattern": SWEEP_NAME, "maxLength": MAX_SWEEP_CHARACTERS},
    )
    trainable: Annotated[
        Annotated[str, Tag("name")] | Annotated[Command, Tag("mapping")], Discriminator(_form_of_trainable)
    ] = Field(description="the name of a shipped one, a file such as ./my_unet.py, or {command: python train.py …}")
    corpus: Annotated[dict[str, PlainValue] | None, NoneWord, AfterValidator(_check_corpus)] = Field(
        None, description="the recordings to learn from: {name: demo}, {name: folder, root: DIR}, …"
    )
    objective: Objective = Field(description="the metric that orders trials")
    compare: dict[str, Comparison] = Field({}, description="compared values; every combination is an arm")
    baseline: dict[str, PlainValue] = Field({}, description="the compared values that the others are tested against")
    params: Parameters = Field({}, description="the trainable's settings: fixed, or searched inside every arm")
    skip: Annotated[tuple[Conditions, ...], Field(strict=False)] = Field(
        (), description="combinations that are left out"
    )
    arms: Annotated[tuple[ArmChange, ...], Field(strict=False)] = Field((), description="changes of some arms")
    judges: Annotated[tuple[JudgeEntry, ...], Field(strict=False)] = Field(
        ({"name": "own"},),
        description="judges of the trials: own, which always judges, registered names, files that register one, or "
        "{name: …, weights: …, classes: …}",
    )
    metrics: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_check_different)] = Field(
        (),
        description="metrics in addition to those of the trainable: fad, kad, pesq, stoi, visqol or registered names",
    )
    evaluate: dict[str, Annotated[Values, AfterValidator(_check_different)]] = Field(
        {},
        description="settings that do not affect training; each trained model is rendered with every combination",
    )
    trials: Annotated[tuple[dict[str, Value], ...], Field(strict=False)] = Field(
        (), description="configurations of your own, which the arms that have their parameters train first"
    )
    warm_start: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_check_different)] = Field(
        (), description="sweeps of this home from whose trials the samplers learn before the first one"
    )
    repeat: Annotated[bool | None, NoneWord] = Field(
        None,
        description="whether a trial is trained although a sweep of this home has trained an equal one; with none, "
        "that of a trainable in a file of yours without `corpus:` is trained, because it may read any data",
    )
    search: Search = Field(Search(), description="how the parameters of trials are proposed")
    budget: Budget = Field(description="the number of trials and epochs, and the time limit")
    pruning: Annotated[Pruning | None, NoneWord, AfterValidator(_drop_none)] = Field(
        None, description="how weak trials end early, or none"
    )
    resources: Resources = Field(Resources(), description="the resources of one trial")
    limits: Limits = Field(Limits(), description="limits at which a trial or an arm is stopped")
    storage: Annotated[str | None, NoneWord, AfterValidator(_check_storage)] = Field(
        None,
        description="for machines that do not share the home: the object store through which they exchange files, "
        "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, file:///FOLDER or a folder that all of them see; or none",
    )
    disk: Disk = Field(Disk(), description="checkpoints that are kept, and space that is left free")
    cache: Cache = Field(Cache(), description="the features of corpora that are kept in the home")
    confirm: Annotated[Confirm | None, NoneWord] = Field(
        None, description="run the best configurations again, then evaluate them on the test split; or none"
    )
    media: Media = Field(Media(), description="the sounds and pictures that trials render")
    notify: Annotated[tuple[Notice, ...], Field(strict=False)] = Field(
        (), description="addresses that get a notice when the sweep ends, stalls, …"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="the seed from which all randomness follows")
    components: Annotated[tuple[Annotated[Path, Field(strict=False)], ...], Field(strict=False)] = Field(
        (), description="files that register losses, normalizations, …"
    )

    @property
    def trainable_reference(self) -> str | dict[str, Any]:
        """The trainable as the loader takes it: its name, its path, or its command with the objective."""
        if isinstance(self.trainable, str):
            return self.trainable
        objective = {"objective": self.objective.metric, "mode": self.objective.mode}
        return {**self.trainable.model_dump(mode="json"), **objective}
