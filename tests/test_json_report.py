"""report.json: stable, complete, valid, readable."""

import json
import math
import re

import pytest
from case_maker import make_outcome
from hypothesis import given
from hypothesis import strategies as st
from test_findings import PLACED, case_of, maps, run
from tiny_chest import pipeline

from medvis.core.geometry import Geometry
from medvis.core.report import NOTICE, Report
from medvis.io.writers.json_report import JsonWriter, report_schema, report_text
from medvis.stages.build import build_report


@pytest.fixture(scope="module")
def report():
    return make_outcome(findings=3).report


def test_the_text_is_the_report(report):
    text = report_text(report)
    assert Report.model_validate_json(text) == report
    assert json.loads(text) == report.model_dump(mode="json")
    assert text.endswith("}\n")
    assert text == report_text(report.model_copy(deep=True))


def test_keys_come_in_the_order_of_the_model(report):
    assert list(json.loads(report_text(report))) == list(Report.model_fields)


def test_points_stay_on_one_line(report):
    text = report_text(report)
    row, col = report.findings[0].contour[0]
    assert f"        [{row}, {col}],\n" in text
    assert '"spacing_mm": [0.7, 0.7],' in text


@given(st.text(alphabet='[]{}, \n"1.5eé²\\', max_size=40))
def test_no_text_of_the_user_is_altered(text):
    report = make_report_with(text)
    assert Report.model_validate_json(report_text(report)) == report


def make_report_with(text, base=make_outcome(rows=16, cols=16, findings=1).report):  # noqa: B008 - made once
    return base.model_copy(update={"title": text, "notes": [text, text]})


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=0, max_size=5))
def test_every_number_survives(numbers):
    report = make_report_with("x").model_copy(deep=True)
    report.provenance.timings_s.update({str(i): n for i, n in enumerate(numbers)})
    finding = report.findings[0].model_copy(update={"contour": [(n, -n) for n in numbers]})
    report = report.model_copy(update={"findings": [finding]})
    assert Report.model_validate_json(report_text(report)) == report


def test_what_is_not_finite_is_null(report):
    report = report.model_copy(deep=True)
    report.provenance.timings_s.update({"a": math.nan, "b": math.inf})
    text = report_text(report)
    assert json.loads(text)["provenance"]["timings_s"] == {"infer": 0.4, "a": None, "b": None}
    assert not re.search(r"NaN|Infinity", text)


def test_the_file_is_utf8(report, tmp_path):
    outcome = make_outcome(rows=16, cols=16, path="Schädel.dcm")
    writer = JsonWriter()
    assert writer.name == "json"
    assert writer.write(outcome, tmp_path) == [tmp_path / "report.json"]
    assert [path.name for path in tmp_path.iterdir()] == list(writer.files(1)) == list(writer.files(9))
    raw = (tmp_path / "report.json").read_bytes()
    assert "Schädel".encode() in raw
    assert raw.decode() == report_text(outcome.report)


def test_unknown_is_null_with_a_reason():
    finding = json.loads(report_text(make_outcome(spacing=None).report))["findings"][0]
    assert finding["area_mm2"] is None
    assert finding["unknown"]["area_mm2"]
    assert json.loads(report_text(make_outcome(spacing=None).report))["notice"] == NOTICE


def test_the_schema_describes_what_is_written(report):
    schema = report_schema()
    assert schema["$id"] == "urn:medvis:schema:report:1.0"
    assert schema["title"] == "medvis report 1.0"
    assert schema["$schema"].endswith("2020-12/schema")
    body = json.loads(report_text(report))
    assert set(schema["properties"]) == set(schema["required"]) == set(body)
    assert schema["additionalProperties"] is False
    assert set(schema["$defs"]["Finding"]["required"]) == set(body["findings"][0])
    json.dumps(schema)


def test_every_field_of_the_schema_is_described():
    schema = report_schema()
    kinds = {"Report": schema, **schema["$defs"]}
    lacking = [
        f"{kind}.{name}"
        for kind, body in kinds.items()
        for name, field in body.get("properties", {}).items()
        if not field.get("description")
    ]
    assert lacking == []
    nullable = [
        f"{kind}.{name}"
        for kind, body in kinds.items()
        for name, field in body.get("properties", {}).items()
        if {"type": "null"} in field.get("anyOf", []) and "null" not in field["description"] and kind != "Quality"
    ]
    assert nullable == [], "what null means stands beside what may be null"


SAID = "null: as `unknown` says"


def untold(value, schema, definitions, path="report"):
    """Fields that are null, whose description refers to `unknown`, and that are not told there."""
    schema = definitions[schema["$ref"].split("/")[-1]] if "$ref" in schema else schema
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from untold(item, schema.get("items", {}), definitions, f"{path}[{index}]")
    elif isinstance(value, dict):
        for name, part in schema.get("properties", {}).items():
            told = value.get("unknown", {})
            if value.get(name) is None and SAID in part.get("description", "") and name not in told:
                yield f"{path}.{name}"
            options = [*part.get("anyOf", []), part]
            kind = next((option for option in options if "$ref" in option or "items" in option), part)
            yield from untold(value.get(name), kind, definitions, f"{path}.{name}")


def test_every_null_has_its_reason():
    schema = Report.model_json_schema()
    outcomes = [run(case_of(maps(*blobs, frames=frames), geometry), last=None) for blobs, geometry, frames in (
        (((0, 20, 20, 6, 0.9),), PLACED, 2), (((0, 20, 20, 6, 0.9),), Geometry(), 1), ((), PLACED, 2),
    )]  # fmt: skip
    for case in outcomes:
        body = json.loads(build_report(case, pipeline().context, {}).model_dump_json())
        assert list(untold(body, schema, schema["$defs"])) == []
        bare = json.loads(json.dumps(body))
        for finding in bare["findings"]:
            finding["unknown"] = {}
        assert bool(list(untold(bare, schema, schema["$defs"]))) == bool(body["findings"]), "the test can see"


def test_slices_are_counted_from_1_for_people_and_views_are_whole():
    report = build_report(run(case_of(maps((1, 20, 20, 6, 0.9))), last=None), pipeline().context, {})
    assert (report.findings[0].key_frame, report.findings[0].slices) == (1, "2 of 2")
    assert '"views": 1,' in report_text(report)
