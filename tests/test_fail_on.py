"""`--fail-on`: which findings and verdicts change the exit code, and that a failure wins over them."""

from __future__ import annotations

from pathlib import Path

import pytest
from case_maker import make_outcome

from medvis.cli.fail_on import Flags, flags_of
from medvis.errors import UsageError


@pytest.mark.parametrize(
    ("lists", "flags"),
    [
        (None, Flags()),
        (["positive,refer"], Flags(("positive", "refer"))),
        (["refer", "positive"], Flags(("refer", "positive"))),
        (["finding:0.8"], Flags((), 0.8)),
        (["finding:0.8, negative", "finding:.5"], Flags(("negative",), 0.5)),
        (["finding:0"], Flags((), 0.0)),
        (["finding:1"], Flags((), 1.0)),
    ],
)
def test_lists_of_verdicts_and_findings_add_up(lists, flags):
    assert flags_of(lists) == flags


@pytest.mark.parametrize(
    "text",
    ["", ",", "sunshine", "finding", "finding:", "finding:high", "finding:1.01", "finding:-0.1", "finding:nan",
     "finding:0,8", "finding:80%", "positive:0.8", "Positive"],
)  # fmt: skip
def test_anything_else_is_wrong_use(text):
    with pytest.raises(UsageError, match=r"--fail-on.*wanted: some of positive"):
        flags_of([text])


def test_a_finding_counts_from_its_probability_on():
    report = make_outcome().report
    highest = max(finding.probability for finding in report.findings)
    assert Flags(probability=highest).meet(report)
    assert not Flags(probability=highest + 1e-6).meet(report)
    assert Flags((report.verdict.decision,), highest + 1e-6).meet(report)
    assert not Flags().meet(report)
    assert not Flags(probability=0.0).meet(report.model_copy(update={"findings": []}))


def test_the_command_counts_the_findings_of_its_report(medvis, slices):
    report = medvis("diagnose", slices[1], "--json", "-q").json
    highest = max(finding["probability"] for finding in report["findings"])
    assert medvis("diagnose", slices[1], "--json", "-q", "--fail-on", f"finding:{highest}").code == 9
    assert medvis("diagnose", slices[1], "--json", "-q", "--fail-on", f"finding:{highest + 1e-4}").code == 0
    other = next(word for word in ("positive", "negative") if word != report["verdict"]["decision"])
    both = medvis("diagnose", slices[1], "--json", "-q", "--fail-on", other, "--fail-on", f"finding:{highest}")
    assert both.code == 9


def test_a_failure_wins_over_a_flag(medvis, slices):
    every = ("--fail-on", "positive,negative,refer", "-q", "--json")
    Path("bad.dcm").write_bytes(b"")
    ran = medvis("diagnose", slices[0], "bad.dcm", slices[1], *every)
    assert ran.code == 8
    assert ran.stderr.splitlines()[-1] == ("medvis: error: 1 of 3 cases failed, and --fail-on names 2 of the others")
    assert medvis("diagnose", slices[0], slices[1], *every).code == 9
    assert medvis("diagnose", "bad.dcm", "absent.dcm", *every).code == 3
    medvis("diagnose", "bad.dcm", *every).error(3)
