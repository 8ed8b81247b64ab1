"""The files of docs/deploy: right by the schemas of Kubernetes and Compose, and true to the command line."""

import json
import os
import re
import shlex
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate
import pytest
import yaml
from pydantic import SecretStr
from typer.main import get_command

from mps_aigc_async import Config
from mps_aigc_async.cli import app
from mps_aigc_async.config.config import ENVIRONMENT
from mps_aigc_async.credentials.keyfiles import is_placeholder
from mps_aigc_async.sharing.database_url import database_url

from .blocks import ROOT
from .forms import fault_in

DEPLOY: Final = ROOT / "docs" / "deploy"
OBJECTS: Final = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))
COMPOSE: Final = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE: Final = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")

VERSIONS: Final = ("1.33", "1.37")
"""The oldest Kubernetes that is supported (kubernetes.io/releases, 2026-11), and the newest with a schema."""


def of_kind(kind: str) -> list[Any]:
    return [each for each in OBJECTS if each["kind"] == kind]


def pods() -> list[Any]:
    return [each["spec"]["template"]["spec"] for each in OBJECTS if "template" in each.get("spec", {})]


def containers() -> list[Any]:
    return [container for pod in pods() for container in pod["containers"]]


def command_lines() -> Iterator[list[str]]:
    """The arguments of each container."""
    yield from (container["args"] for container in containers())
    yield from (service["command"] for service in COMPOSE["services"].values() if "command" in service)


def option(words: list[str], name: str) -> str:
    """The value of an option, in either form."""
    joined = [word.removeprefix(f"{name}=") for word in words if word.startswith(f"{name}=")]
    return joined[0] if joined else words[words.index(name) + 1]


# --- the schemas ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("number", range(len(OBJECTS)), ids=lambda number: OBJECTS[number]["kind"])
def test_an_object_has_the_form_of_kubernetes(number: int, version: str) -> None:
    kubernetes_validate.validate(OBJECTS[number], version, strict=True)


def test_a_misspelt_key_of_kubernetes_is_refused() -> None:
    [deployment] = of_kind("Deployment")
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGraceSeconds"):
        kubernetes_validate.validate(
            {**deployment, "spec": {**deployment["spec"], "terminationGraceSeconds": 30}}, VERSIONS[-1], strict=True
        )


def compose_schema() -> Any:  # noqa: ANN401 — JSON
    """The schema of compose-spec, which the package check-jsonschema brings along."""
    file = files("check_jsonschema.builtin_schemas").joinpath("vendor", "compose-spec.json")
    return json.loads(file.read_text(encoding="utf-8"))


def test_compose_has_the_form_of_its_specification() -> None:
    jsonschema.validate(COMPOSE, compose_schema())
    services = {**COMPOSE["services"], "worker": {**COMPOSE["services"]["worker"], "stop_grace": "30s"}}
    with pytest.raises(jsonschema.ValidationError, match="stop_grace"):
        jsonschema.validate({**COMPOSE, "services": services}, compose_schema())


# --- true to this version ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [*command_lines()], ids=" ".join)
def test_a_command_line_is_one_of_this_version(words: list[str]) -> None:
    group: Any = get_command(app)
    with group.commands[words[0]].make_context(words[0], words[1:]):
        pass
    assert database_url(option(words, "--ledger")).ledger == "spring"


def test_a_wrong_command_line_is_found() -> None:
    with pytest.raises(Exception, match="No such option: --leger"):
        test_a_command_line_is_one_of_this_version(["worker", "--out=/results", "--leger=x"])


def configs() -> dict[str, Any]:
    [config_map] = of_kind("ConfigMap")
    return {
        "compose": json.loads((DEPLOY / "workers.json").read_text()),
        "kubernetes": json.loads(config_map["data"]["config.json"]),
    }


@pytest.mark.parametrize("place", ["compose", "kubernetes"])
def test_each_config_is_one_and_counts_in_the_database_of_the_ledger(place: str) -> None:
    config = Config.parse(configs()[place])
    hosts = {"compose": COMPOSE["services"], "kubernetes": {"db.internal"}}[place]
    assert config.limit_store is not None
    store = database_url(config.limit_store)
    ledgers = [
        database_url(option(words, "--ledger"))
        for words in command_lines()
        if f"@{next(iter(hosts))}/" in " ".join(words)
    ]
    assert ledgers
    assert {str(ledger) for ledger in ledgers} == {str(store)}


def test_both_configs_differ_in_their_database_alone() -> None:
    compose, kubernetes = configs().values()
    assert {**compose, "limitStore": ""} == {**kubernetes, "limitStore": ""}


def test_the_config_is_found_where_it_is_mounted() -> None:
    [worker] = [container for container in containers() if container["name"] == "worker"]
    [variable] = worker["env"]
    [mount] = [mount for mount in worker["volumeMounts"] if mount["name"] == "config"]
    service = COMPOSE["services"]["worker"]
    [target] = [config["target"] for config in service["configs"]]
    assert variable == {"name": "MPS_AIGC_CONFIG", "value": f"{mount['mountPath']}/config.json"}
    assert service["environment"]["MPS_AIGC_CONFIG"] == target


def test_results_are_written_into_the_volume() -> None:
    [worker] = [container for container in containers() if container["name"] == "worker"]
    paths = {mount["name"]: mount["mountPath"] for mount in worker["volumeMounts"]}
    assert option(worker["args"], "--out").startswith(f"{paths['results']}/")
    service = COMPOSE["services"]["worker"]
    assert option(service["command"], "--out").startswith(service["volumes"][0].partition(":")[2] + "/")


# --- secrets and rights -----------------------------------------------------------------------------------------------


def test_no_file_has_a_secret() -> None:
    [secret] = of_kind("Secret")
    known = {*ENVIRONMENT, "PGPASSWORD"}
    assert secret["stringData"].keys() <= known
    assert all(is_placeholder(SecretStr(value)) for value in secret["stringData"].values())
    for service in COMPOSE["services"].values():
        for name, value in service["environment"].items():
            if name in known or "PASSWORD" in name:
                assert re.fullmatch(r"\$\{\w+:\?[\w .]+\}", value), name
    texts = [file.read_text(encoding="utf-8") for file in DEPLOY.iterdir()]
    assert [
        url for text in texts for url in re.findall(r"postgresql://\S+", text) if ":" in url.partition("@")[0][13:]
    ] == []


def test_pods_run_with_few_rights() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] >= 10000
        assert not pod["automountServiceAccountToken"]
    for container in containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert {"requests", "limits"} == container["resources"].keys()
    worker = COMPOSE["services"]["worker"]
    assert (worker["read_only"], worker["cap_drop"]) == (True, ["ALL"])


def test_a_worker_has_time_for_the_creates_in_flight() -> None:
    """It waits for them for 10 s at most."""
    [deployment] = of_kind("Deployment")
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 30
    assert COMPOSE["services"]["worker"]["stop_grace_period"] == "30s"


def test_the_selectors_find_the_workers() -> None:
    [deployment], [budget] = of_kind("Deployment"), of_kind("PodDisruptionBudget")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == budget["spec"]["selector"]["matchLabels"] == labels


# --- the image --------------------------------------------------------------------------------------------------------


def test_the_image_is_built_from_a_clone_and_runs_as_another_user_than_root() -> None:
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    assert [line.split()[0] for line in lines] == [
        "FROM", "COPY", "RUN", "FROM", "COPY", "RUN", "RUN", "USER", "ENTRYPOINT",
    ]  # fmt: skip
    [extras] = re.findall(r"whl\)\[([\w,]+)\]", DOCKERFILE)
    assert fault_in(f"pip install '.[{extras}]'") == ""
    assert {"cli", "workers"} <= set(extras.split(","))
    [user] = re.findall(r"^USER (\d+):\1$", DOCKERFILE, flags=re.MULTILINE)
    assert {pod["securityContext"]["runAsUser"] for pod in pods()} == {int(user)}
    build = COMPOSE["services"]["worker"]["build"]
    assert Path(os.path.normpath(DEPLOY / build["context"])) == ROOT
    assert (ROOT / build["dockerfile"]) == DEPLOY / "Dockerfile"


def test_the_build_is_sent_no_file_with_keys() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "*"
    allowed = [line.removeprefix("!") for line in lines[2:]]
    assert all((ROOT / name).exists() for name in allowed)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f'"{name}"' in project for name in allowed if name != "pyproject.toml")


def test_all_name_one_image() -> None:
    images = {container["image"] for container in containers()}
    images |= {COMPOSE["services"][name]["image"] for name in ("worker", "migrate")}
    assert len(images) == 1
    assert f"docker build -f docs/deploy/Dockerfile -t {images.pop()} ." in DOCKERFILE


@pytest.mark.parametrize("file", ["compose.yaml", "kubernetes.yaml"])
def test_the_commands_in_the_comments_are_right(file: str) -> None:
    text = (DEPLOY / file).read_text(encoding="utf-8")
    for line in re.findall(r"^#   docker compose run .*? worker (.*)$", text, flags=re.MULTILINE):
        assert fault_in(f"mps-aigc {line}") == "", line
    assert all(shlex.split(line) for line in re.findall(r"^#   ((?:docker|kubectl) .*)$", text, flags=re.MULTILINE))
