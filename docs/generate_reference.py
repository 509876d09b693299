"""Write the reference pages: of search spaces from their JSON Schema, of commands from the command line itself.

Run `python -m docs.generate_reference` from the root of the repository after a setting, a metric or an option has
changed; a test compares the committed pages with what this module writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

from orchestrator.cli import app
from orchestrator.cli.verbs import EXAMPLES
from orchestrator.plugins import loader
from orchestrator.search_space.json_schema import make_schema
from trainables.components.assessment.added_metrics import METRICS
from trainables.components.judges.plugin import JUDGES, JudgeSettings
from trainables.corpora.settings import CORPORA

FOLDER = Path(__file__).parent
NOTICE = "<!-- Written by `python -m docs.generate_reference`; change the code, not this page. -->"
SECTIONS = {
    "trainable": "Command",
    "objective": "Objective",
    "search": "Search",
    "budget": "Budget",
    "pruning": "Pruning",
    "resources": "Resources",
    "limits": "Limits",
    "disk": "Disk",
    "cache": "Cache",
    "confirm": "Confirm",
    "media": "Media",
    "arms": "ArmChange",
    "notify": "Notice",
}
"""Keys of a file that hold a section, and the name of its definition in the schema."""
SECTIONS_IN_WORDS = {
    "arms": "a list of sections",
    "notify": "a list of sections",
    "trainable": "a name, a path, or a section",
}
DOMAINS = ("choice", "uniform", "loguniform", "quniform", "int", "logint")
FREE_FORM = {
    "compare": "values of one parameter, or named bundles",
    "baseline": "a value for each compared parameter",
    "params": "a value or a domain for each parameter",
    "skip": "a list of conditions",
    "evaluate": "a list of values for each setting",
    "corpus": "a mapping with a name, or `none`",
    "components": "a list of paths",
    "judges": "a list of names, paths and mappings with a name",
    "presets": "named partial search spaces",
    "command": "text, or a list of words",
    "metrics": "a regular expression for each metric, or `none`",
    "name": "letters, digits, `.`, `_` and `-`",
    "when": "a value, or a list of them, for each parameter",
    "at": "a value for each setting",
    "epochs": "a list of epochs from 1 on, or `best`",
    "trials": "a list of mappings, each from parameters to values",
    "warm_start": "a list of sweeps",
    "stop_when": "`{no_better_for: TRIALS}`, `{regret_below: VALUE}`, both, or `none`",
    "storage": "the address of an object store, or `none`",
    "beside": "`min` or `max` for each metric",
    "constraints": "`{min: …}`, `{max: …}` or both for each metric",
}
"""Keys whose type is easier to read in words than in the schema."""
COMPARABLE = {
    "all": "all trials",
    "same_representation": "trials of one representation",
    "same_loss": "trials of one loss",
}
Schema = Mapping[str, Any]
Row = Sequence[str]


def main() -> None:
    """Write every page."""
    for name, text in make_pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def make_pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    pages = {
        "search_space_reference.md": _search_space_lines(),
        "command_reference.md": _command_lines(),
    }
    return {name: "\n".join(lines).rstrip() + "\n" for name, lines in pages.items()}


def _search_space_lines() -> Iterator[str]:
    schema = make_schema()
    definitions = schema["$defs"]
    yield from ("# Search space reference", "", NOTICE, "")
    yield "Every key of a search space, with its type, its default and its bounds. [Search spaces](search_spaces.md)"
    yield "explains them with examples; `orchestrate schema` prints the same as a JSON Schema for editors."
    yield ""
    yield from ("## The file", "")
    yield from _settings_table(definitions["SearchSpace"]["properties"], schema["required"])
    for key, definition in SECTIONS.items():
        section = definitions[definition]
        required = section.get("required", schema["properties"].get(key, {}).get("required", ()))
        yield from (f"## {key}", "")
        yield from _settings_table(section["properties"], required)
    yield from _domain_lines(definitions["Searched"])
    yield from _corpus_lines()
    yield from _judge_lines()
    for name in loader.find_trainables():
        yield from _trainable_lines(name, definitions[f"{name}.params"]["properties"])


def _domain_lines(searched: Schema) -> Iterator[str]:
    yield from ("## Domains", "")
    yield "A searched parameter has one of these domains, and may have `when:`, the conditions under which it exists:"
    yield "`kl_weight: {loguniform: [1e-3, 4], when: {loss: vae}}`."
    yield ""
    descriptions = (searched["properties"][kind]["description"].partition(" Needs ") for kind in DOMAINS)
    rows = [
        (f"`{kind}`", form.rstrip("."), meaning) for kind, (meaning, _, form) in zip(DOMAINS, descriptions, strict=True)
    ]
    yield from _table(("domain", "arguments", "meaning"), rows)


def _corpus_lines() -> Iterator[str]:
    yield from ("## corpus", "")
    yield "The keys of `corpus:` follow from its `name`. [Corpora](corpora.md) explains the layouts."
    yield ""
    for name, settings in CORPORA.items():
        schema = settings.model_json_schema()
        properties = {key: value for key, value in schema["properties"].items() if key != "name"}
        yield from (f"### corpus {name}", "")
        yield from _settings_table(properties, schema.get("required", ()))


def _judge_lines() -> Iterator[str]:
    yield from ("## judges", "")
    yield "The keys of an entry of `judges:` follow from its `name`; `own` has `augment` alone."
    yield "[Judge and metrics](judge_and_metrics.md#more-judges) says what they are for. Every other judge may have:"
    yield ""
    common = JudgeSettings.model_json_schema()
    yield from _settings_table({key: value for key, value in common["properties"].items() if key != "name"}, ())
    rows = []
    for name, judge in JUDGES.items():
        schema = judge.Settings.model_json_schema()
        own = {key: value for key, value in schema["properties"].items() if key not in common["properties"]}
        keys = [f"`{key}`: {setting['description']}" for key, setting in own.items()]
        rows.append((f"`{name}`", f"{judge.modality}s", (judge.__doc__ or "").strip(), "; ".join(keys)))
    yield from _table(("judge", "judges", "network", "more keys"), rows)
    yield from ("## metrics", "")
    yield "The names that `metrics:` may list. A metric of embeddings is computed for the corpus judge (`val/kad`) and"
    yield "for every added one (`val/yamnet_kad`), with the ends of its 95 % interval (`…_low`, `…_high`)."
    yield ""
    rows = [(f"`{name}`", metric.of, metric.mode, metric.description) for name, metric in METRICS.items()]
    yield from _table(("metric", "of", "better", "meaning"), rows)


def _trainable_lines(name: str, properties: Schema) -> Iterator[str]:
    trainable = loader.load_trainable(name, Path())
    yield from (f"## trainable {name}", "")
    yield from ("Settings, the keys of `params:` and `compare:`:", "")
    rendering = sorted(trainable.RENDERING)
    yield from _settings_table(properties, ())
    if rendering:
        yield f"`evaluate:` may vary {_listed(rendering)}."
        yield ""
    yield from (f"### Metrics of {name}", "")
    rows = [
        (f"`{metric}`", declared.mode, COMPARABLE[declared.comparable], declared.description)
        for metric, declared in trainable.METRICS.items()
    ]
    yield from _table(("metric", "better", "may rank", "meaning"), rows)


def _settings_table(properties: Schema, required: Iterable[str]) -> Iterator[str]:
    required = set(required)
    rows = []
    for key, setting in properties.items():
        default = "required" if key in required else _default_in_words(setting)
        rows.append((_key_in_words(key), _type_in_words(key, setting), default, setting.get("description", "")))
    yield from _table(("key", "type", "default", "meaning"), rows)


def _key_in_words(key: str) -> str:
    return f"[`{key}`](#{key})" if key in SECTIONS else f"`{key}`"


def _type_in_words(key: str, setting: Schema) -> str:
    if key in SECTIONS:
        return SECTIONS_IN_WORDS.get(key, "a section")
    if key == "metrics" and setting.get("type") == "array":
        # The metrics of a command are regular expressions.
        return "a list of names"
    if key == "when" and setting.get("type") == "array":
        # In other sections it is a condition on parameters.
        return f"a list of {_listed(setting['items']['enum'])}"
    return FREE_FORM.get(key) or _shape_in_words(setting)


def _shape_in_words(setting: Schema) -> str:
    if "enum" in setting:
        return _listed(value for value in setting["enum"] if value is not None)
    if "anyOf" in setting:
        options = [option for option in setting["anyOf"] if "$ref" not in option and option != {"type": "null"}]
        # A registered name is an enumeration that files of one's own may extend.
        if {"type": "string"} in options and len(options) > 1:
            options.remove({"type": "string"})
            return f"{_shape_in_words(options[0])}, or a registered name"
        return " or ".join(_shape_in_words(option) for option in options)
    match setting.get("type"):
        case "boolean":
            return "`true`, `false`"
        case "integer" | "number" as kind:
            return " ".join(["integer" if kind == "integer" else "number", *_bounds(setting)])
        case "string" if setting.get("format") == "path":
            return "path"
        case "string":
            return "text"
    return "mapping"


def _bounds(setting: Schema) -> Iterator[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {setting[bound]:g}" for bound, sign in signs.items() if bound in setting]
    if bounds:
        yield " and ".join(bounds).replace("2.14748e+09", "2³¹")


def _default_in_words(setting: Schema) -> str:
    if "default" not in setting:
        return ""
    default = setting["default"]
    if default is None:
        return "`none`"
    if isinstance(default, dict):
        # A section's own table has its defaults.
        return ""
    if isinstance(default, list):
        return f"`{json.dumps(default)}`".replace('"', "") if default else ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _command_lines() -> Iterator[str]:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    yield from ("# Command reference", "", NOTICE, "")
    yield "Every argument and option, as `orchestrate COMMAND --help` prints them. [Commands](commands.md) says what"
    yield "they are good for."
    yield ""
    for heading, examples in EXAMPLES.items():
        yield from (f"## {heading}", "")
        for verb, example in examples.items():
            command = group.commands[verb]
            yield from (f"### orchestrate {verb}", "", str(command.help).strip(), "")
            yield from ("```", example, "```", "")
            if isinstance(command, TyperGroup):
                for name, part in command.commands.items():
                    yield from (f"#### orchestrate {verb} {name}", "", str(part.help).strip(), "")
                    yield from _parameter_table(part)
            else:
                yield from _parameter_table(command)


def _parameter_table(command: Any) -> Iterator[str]:
    rows = [row for parameter in command.params if (row := _parameter_row(parameter))]
    yield from _table(("argument or option", "meaning"), rows)


def _parameter_row(parameter: Any) -> Row | None:
    if getattr(parameter, "hidden", False):
        return None
    is_argument = parameter.param_type_name == "argument"
    if is_argument:
        name = f"{parameter.name.upper()}{' …' if parameter.nargs == -1 else ''}"
    else:
        name = ", ".join(sorted(parameter.opts, key=len, reverse=True))
    help_text = re.sub(r"\s+", " ", parameter.help or "")
    default = parameter.default
    is_shown = default not in (None, False) and not callable(default) and "[default" not in help_text
    return f"`{name}`", help_text + (f" Default: `{default}`." if is_shown and not is_argument else "")


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _table(heads: Row, rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of a Markdown table and an empty one; nothing of a table without rows."""
    rows = list(rows)
    if not rows:
        return
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        # A bar would begin another cell, and an angle bracket a tag.
        cells = (cell.replace("|", "&#124;").replace("<class>", "&lt;class&gt;") for cell in row)
        yield f"| {' | '.join(cells)} |"
    yield ""


if __name__ == "__main__":
    main()
