"""The workflow on GitHub checks what .ci/run checks, and may do nothing but read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
RUN = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def workflow() -> dict:
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def steps(workflow) -> list[dict]:
    return workflow["jobs"]["check"]["steps"]


@pytest.fixture(scope="module")
def commands(steps) -> str:
    return "\n".join(step["run"] for step in steps if "run" in step)


def checks(script: str) -> list[tuple[str, ...]]:
    """The checks that a shell script makes, in its order; folders for what is made in passing do not count."""
    tools = r"^(?:ruff|mypy|lint-imports|python -m pip wheel|python \.ci/).*$"
    lines = re.findall(tools, script, re.MULTILINE)
    return [tuple(word for word in shlex.split(line) if word not in ("built", "$built")) for line in lines]


def test_it_makes_the_checks_of_the_local_run_in_their_order(commands):
    assert len(checks(RUN)) == 7
    assert checks(commands) == checks(RUN)


def test_it_runs_the_commands_of_the_readme_as_written(commands):
    marked = [block.strip() for block in re.findall(r"<!-- ci -->\n```bash\n(.*?)```", README, re.DOTALL)]
    assert len(marked) == 2
    assert set(marked) <= set(commands.splitlines())


def test_both_install_the_same_and_without_torch_where_it_is_not_to_be_had(commands):
    for extras in ("'.[dev,train]'", "'.[dev]'"):
        assert f"-e {extras}" in commands and f"-e {extras}" in RUN


def test_both_bring_the_same_tools_and_options_of_pytest(steps, commands):
    tools = re.search(r"^tools=\((.*)\)$", RUN, re.MULTILINE)[1]
    assert tools in commands
    options = re.search(r'^export PYTEST_ADDOPTS="(.*)"$', RUN, re.MULTILINE)[1].split()
    given = next(step for step in steps if step.get("run") == "python -m pytest")["env"]["PYTEST_ADDOPTS"]
    assert [option for option in options if option not in given] == []


def test_it_covers_the_systems_and_versions_that_are_promised(workflow):
    matrix = workflow["jobs"]["check"]["strategy"]["matrix"]
    assert [name.removesuffix("-latest") for name in matrix["os"]] == ["ubuntu", "macos", "windows"]
    classifiers = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert matrix["python"] == re.findall(r'"Programming Language :: Python :: (3\.\d+)"', classifiers)


def test_it_may_read_and_no_more_and_pins_what_it_uses(workflow, steps):
    assert workflow["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in workflow["jobs"].values())
    used = [step["uses"] for step in steps if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in used)
