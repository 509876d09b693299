"""The files of `deploy/`: what can be checked without the machines that they are for."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
from ruamel.yaml import YAML
from typer.core import TyperGroup
from typer.main import get_command

from orchestrator.cli import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
TEXTS = {path.relative_to(DEPLOY).as_posix(): path.read_text() for path in FILES}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BIN = Path(sys.executable).parent
COMMAND = re.compile(r"(?:(?<=[\s'\"])|(?<=#   ))orchestrate (?P<arguments>[a-z][^\n'\"&|]*)")
RAY_CLUSTER_SPEC = {
    "type": "object",
    "additionalProperties": False,
    "required": ["headGroupSpec"],
    "properties": {
        "rayVersion": {"type": "string"},
        "enableInTreeAutoscaling": {"type": "boolean"},
        "autoscalerOptions": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"idleTimeoutSeconds": {"type": "integer"}},
        },
        "headGroupSpec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["template"],
            "properties": {"rayStartParams": {"$ref": "#/definitions/strings"}, "template": {"type": "object"}},
        },
        "workerGroupSpecs": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["groupName", "template"],
                "properties": {
                    "groupName": {"type": "string"},
                    "replicas": {"type": "integer"},
                    "minReplicas": {"type": "integer"},
                    "maxReplicas": {"type": "integer"},
                    "rayStartParams": {"$ref": "#/definitions/strings"},
                    "template": {"type": "object"},
                },
            },
        },
    },
}
"""The fields that the files here use, by KubeRay's reference of its API ray.io/v1."""
RAY_JOB_SPEC = {
    "type": "object",
    "additionalProperties": False,
    "required": ["entrypoint", "rayClusterSpec"],
    "properties": {
        "entrypoint": {"type": "string"},
        "backoffLimit": {"type": "integer"},
        "shutdownAfterJobFinishes": {"type": "boolean"},
        "ttlSecondsAfterFinished": {"type": "integer"},
        "rayClusterSpec": RAY_CLUSTER_SPEC,
    },
}
STRINGS = {"strings": {"type": "object", "additionalProperties": {"type": "string"}}}


def load(name: str) -> Any:
    return YAML(typ="safe", pure=True).load(TEXTS[name])


def check_command(arguments: str) -> None:
    """Parse a command of `orchestrate` as the command line does, without running it."""
    verb, *rest = shlex.split(arguments, comments=True)
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    assert verb in group.commands, arguments
    # A context is made from arguments that are all understood; nothing runs.
    group.commands[verb].make_context(verb, rest)


def commands() -> list[Any]:
    """Return each command of `orchestrate` in the files, with words in the place of the shell's variables."""
    parameters = []
    for name, text in TEXTS.items():
        plain = re.sub(r'"\$(head|address)(:\d+)?"', "head:6379", text.replace('"$@"', "x.yaml"))
        for match in COMMAND.finditer(plain):
            parameters.append(pytest.param(match["arguments"], id=f"{name}: {match['arguments']}"))
    return parameters


def test_there_is_a_command_in_every_way_to_run_a_sweep() -> None:
    with_commands = {parameter.id.partition(":")[0] for parameter in commands()}
    ways = {"slurm.sh", "skypilot.yaml", "ray-up-aws.yaml", "ray-up-on-premise.yaml"}
    assert with_commands >= ways | {"kuberay/raycluster.yaml", "kuberay/rayjob.yaml"}


@pytest.mark.parametrize("arguments", commands())
def test_a_command_is_understood(arguments: str) -> None:
    check_command(arguments)


@pytest.mark.parametrize("wrong", ["sweeep x.yaml", "sweep x.yaml --adress auto", "status a b"])
def test_a_wrong_command_would_be_noticed(wrong: str) -> None:
    with pytest.raises(Exception, match=r"sweeep|adress|unexpected extra"):
        check_command(wrong)


@pytest.mark.parametrize("name", ["ray-up-aws.yaml", "ray-up-on-premise.yaml"])
def test_what_starts_clusters_has_the_form_that_ray_reads(name: str) -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(load(name), schema)


def test_manifests_have_the_fields_of_kuberay() -> None:
    cluster, job = load("kuberay/raycluster.yaml"), load("kuberay/rayjob.yaml")
    jsonschema.validate(cluster["spec"], {**RAY_CLUSTER_SPEC, "definitions": STRINGS})
    jsonschema.validate(job["spec"], {**RAY_JOB_SPEC, "definitions": STRINGS})
    assert (cluster["apiVersion"], cluster["kind"], job["kind"]) == ("ray.io/v1", "RayCluster", "RayJob")
    for spec in (cluster["spec"], job["spec"]["rayClusterSpec"]):
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
            pod = group["template"]["spec"]
            mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
            assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_versions_are_those_of_the_project() -> None:
    (ray_pin,) = re.findall(r"ray\[tune\]==([\d.]+)", "\n".join(PROJECT["dependencies"]))
    everything = "\n".join(TEXTS.values())
    assert set(re.findall(r"orchestrate:([\d.]+)-(?:cpu|cuda)", everything)) == {PROJECT["version"]}
    assert set(re.findall(r"rayVersion: ([\d.]+)", everything)) == {ray_pin}
    (uv,) = re.findall(r"uv==([\d.]+)", TEXTS["Dockerfile"])
    assert f"uv=={uv} " in (ROOT / "Makefile").read_text() or f"uv=={uv}\n" in (ROOT / "Makefile").read_text()
    assert PROJECT["requires-python"] == ">=3.11" and "FROM python:3.11-" in TEXTS["Dockerfile"]


def test_no_secret_has_a_value_or_stands_in_a_command_line() -> None:
    services = load("compose.yaml")["services"]
    for name, service in services.items():
        assert not re.search(
            "PASSWORD|SECRET", json.dumps(service.get("command", "")).replace("$$MINIO_ROOT_PASSWORD", "")
        )
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET", key):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), (name, key)


def test_services_are_checked_and_wait_for_each_other() -> None:
    services = load("compose.yaml")["services"]
    assert all("healthcheck" in service for name, service in services.items() if name != "bucket")
    for service in services.values():
        assert service.get("depends_on", {}).keys() <= services.keys()
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
    extras = "\n".join(PROJECT["optional-dependencies"]["server"])
    assert "psycopg2" in extras and "boto3" in extras


@pytest.mark.parametrize(
    "script", [TEXTS["slurm.sh"], "#!/bin/bash\n" + load("skypilot.yaml")["run"]], ids=["slurm.sh", "skypilot.yaml"]
)
def test_scripts_have_no_mistakes_that_shellcheck_knows(script: str) -> None:
    done = subprocess.run([BIN / "shellcheck", "-"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_has_no_mistakes_that_hadolint_knows() -> None:
    done = subprocess.run([BIN / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_image_leaves_out_what_is_not_in_the_project() -> None:
    assert "USER 1000" in TEXTS["Dockerfile"] and "--require-hashes" in TEXTS["Dockerfile"]
    assert {".git", ".venv", "runs"} <= set(TEXTS["Dockerfile.dockerignore"].split())
