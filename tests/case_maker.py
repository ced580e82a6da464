"""Makes a small, realistic Case, Report and Outcome without a model: what the writers' tests need.

`make_case()` is one CT frame with two findings; every keyword changes one thing.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from medvis.core import report as schema
from medvis.core.case import Candidates, Case, Prediction, Score
from medvis.core.display import Display
from medvis.core.geometry import Geometry
from medvis.core.outcome import Outcome
from medvis.core.report import Attribute, Box, Code, Finding, Intensity, Reading, Report, Verdict
from medvis.core.scan import DisplayWindow, Scan, Source, Step

SPOTS = ((0.50, 0.30), (0.38, 0.70), (0.64, 0.72), (0.33, 0.27), (0.68, 0.30), (0.52, 0.63), (0.60, 0.21))
LABELS = ("nodule", "malignancy")
REASON = "Pixel Spacing (0028,0030) is absent"


def make_outcome(**options) -> Outcome:
    """An Outcome; options as `make_case`."""
    case = make_case(**options)
    ct = case.scan.unit == "HU"
    display = Display(center=-600.0, width=1500.0, name="lung") if ct else Display()
    return Outcome(case, make_report(case), display)


def make_case(
    *,
    frames: int = 1,
    rows: int = 128,
    cols: int = 128,
    channels: int = 1,
    spacing: tuple[float, float] | None = (0.7, 0.7),
    slice_spacing: float | None = 5.0,
    findings: int = 2,
    padding: bool = False,
    inverted: bool = False,
    candidates: bool = True,
    path: str = "scan.dcm",
) -> Case:
    """A Case with every field filled, as it is after the last stage."""
    if findings > len(SPOTS):
        raise ValueError(f"at most {len(SPOTS)} findings")
    rng = np.random.default_rng(7)
    mask = _mask(frames, rows, cols, findings)
    evidence = _evidence(mask, rng)
    pixels = _chest(mask, rng) if channels == 1 else _metal(mask, rng)
    valid = None
    if padding:
        valid = np.ones((frames, rows, cols), bool)
        valid[:, :, : cols // 16] = False
        pixels[~valid] = -2000
    scan = Scan(
        pixels,
        _geometry(frames, rows, cols, spacing, slice_spacing),
        _source(frames, path, "dicom" if channels == 1 else "png"),
        unit="HU" if channels == 1 else "grey",
        modality="CT" if channels == 1 else None,
        body_part="CHEST" if channels == 1 else None,
        bits=12 if channels == 1 else 8,
        valid=valid,
        windows=(DisplayWindow(-600.0, 1500.0, explanation="LUNG"),) if channels == 1 else (),
        inverted=inverted,
        trail=(Step("window", {"center": -600.0, "width": 1500.0}), Step("infer", {"scales": [0.5, 1.0]})),
        notes=("The file has no window for bone.",),
    )
    found = tuple(_finding(scan, mask, number) for number in range(1, findings + 1))
    prediction = Prediction(
        np.where(mask > 0, 4.0, -4.0).astype(np.float32)[:, None],
        (evidence * 0.1).astype(np.float32),
        evidence,
        LABELS,
        candidates=_candidates(found, rng) if candidates else None,
        views=4,
    )
    chance = max((item.probability for item in found), default=0.04)
    verdict = Verdict(
        decision="positive" if found else "negative",
        probability=chance,
        reasons=["finding 1 is above the threshold of 0.5" if found else "no finding above the threshold of 0.5"],
    )
    return Case(
        scan,
        "lung-nodule",
        view=np.clip((pixels + 1350) / 1500, 0, 1) if channels == 1 else pixels / 255,
        region=np.ones((frames, rows, cols), bool),
        prediction=prediction,
        mask=mask,
        scores=tuple(Score(item.id, item.key_frame, item.area_px, None, item.probability, 0.02) for item in found),
        findings=found,
        verdict=verdict,
        evidence=evidence,
        notes=("No lung was found on 2 frames; they were searched whole.",),
    )


def make_report(case: Case) -> Report:
    """The report of a case; every fact comes from the case."""
    scan, geometry = case.scan, case.scan.geometry
    return Report(
        task=case.task,
        title="Lung nodules on CT" if scan.unit == "HU" else "Pitting on ball-screw drives",
        scan=schema.ScanFacts(
            path=scan.source.path,
            format=scan.source.format,
            sha256=scan.source.sha256,
            modality=scan.modality,
            body_part=scan.body_part,
            unit=scan.unit,
            frames=scan.frames,
            rows=scan.shape[0],
            cols=scan.shape[1],
            channels=scan.channels,
            spacing_mm=geometry.spacing,
            slice_spacing_mm=geometry.slice_spacing,
            series_uid=scan.source.series_uid,
            sop_instance_uids=list(scan.source.sop_instance_uids),
            notes=list(scan.notes),
            unknown=dict(geometry.reasons),
        ),
        quality=schema.Quality(valid_fraction=1.0, contrast=0.8, sharpness=0.02, searched_fraction=None),
        verdict=case.verdict or Verdict(decision="refer", reasons=["nothing was judged"]),
        findings=list(case.findings or ()),
        uncertainty=schema.Uncertainty(views=4, mean_mask_spread=0.03),
        notes=list(case.notes),
        provenance=schema.Provenance(
            medvis="0.1.0",
            task=case.task,
            config_sha256="c" * 64,
            model_name="lung-nodule",
            model_sha256="d" * 64,
            backend="onnx",
            trail=[{"name": step.name, **step.settings} for step in scan.trail],
            timings_s={"infer": 0.4},
        ),
    )


def radius_of(number: int, rows: int, cols: int) -> float:
    """Radius in px of the ball that is finding `number`."""
    return max(1.5, min(rows, cols) * (0.05 - 0.004 * number))


def _centre(number: int, frames: int, rows: int, cols: int) -> tuple[float, float, float]:
    row, col = SPOTS[number - 1]
    depth = (number * 0.37) % 1 * (frames - 1)
    return float(round(depth)), float(round(row * rows)), float(round(col * cols))


def _mask(frames: int, rows: int, cols: int, findings: int) -> np.ndarray:
    mask = np.zeros((frames, rows, cols), np.int32)
    frame, row, col = np.ogrid[:frames, :rows, :cols]
    for number in range(1, findings + 1):
        z, y, x = _centre(number, frames, rows, cols)
        radius = radius_of(number, rows, cols)
        inside = ((frame - z) * radius / 2) ** 2 + (row - y) ** 2 + (col - x) ** 2 <= radius**2
        mask[inside & (mask == 0)] = number
    return mask


def _evidence(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    frames, rows, cols = mask.shape
    sigma = max(1.5, min(rows, cols) * 0.03)
    evidence = np.empty(mask.shape, np.float32)
    for index in range(frames):
        hot = cv2.GaussianBlur((mask[index] > 0).astype(np.float32), (0, 0), sigma)
        coarse = rng.random((6, 6)).astype(np.float32)
        haze = cv2.resize(coarse, (cols, rows), interpolation=cv2.INTER_CUBIC)
        evidence[index] = np.clip(hot / max(float(hot.max()), 1e-6) * 0.95 + 0.15 * haze, 0, 1)
    return evidence


def _chest(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """HU of something like a chest: air, body, two lungs with vessels, a spine, and the findings."""
    frames, rows, cols = mask.shape
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : cols * 1j]
    body = (x / 0.92) ** 2 + (y / 0.72) ** 2 < 1
    lungs = (((np.abs(x) - 0.44) / 0.33) ** 2 + ((y - 0.02) / 0.5) ** 2) < 1
    spine = (x / 0.1) ** 2 + ((y - 0.55) / 0.1) ** 2 < 1
    base = np.where(body, 40.0, -1000.0)
    base[lungs] = -860
    base[spine] = 450
    vessels = np.zeros((rows, cols), np.uint8)
    for _ in range(60):
        side, angle, length = rng.choice([-1, 1]), rng.uniform(-1.4, 1.4), rng.uniform(0.1, 0.28)
        start = (int((0.5 + side * 0.1) * cols), int(0.5 * rows))
        end = (start[0] + int(side * math.cos(angle) * length * cols), start[1] + int(math.sin(angle) * length * rows))
        cv2.line(vessels, start, end, 255, max(1, cols // 200), cv2.LINE_AA)
    vessels[~lungs] = 0
    pixels = np.empty((frames, rows, cols, 1), np.float32)
    for index in range(frames):
        frame = base + vessels * 2.2
        frame[mask[index] > 0] = 30
        frame = cv2.GaussianBlur(frame, (0, 0), max(0.5, cols / 500)) + rng.normal(0, 25, (rows, cols))
        pixels[index, ..., 0] = np.clip(np.round(frame), -1024, 3071)
    return pixels


def _metal(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grey values 0…255 of something like ground steel in warm light, the findings as dark pits."""
    frames, rows, cols = mask.shape
    grain = cv2.blur(rng.normal(0, 22, (rows, cols)).astype(np.float32), (max(3, cols // 20), 1))
    grey = 140 + grain + 35 * np.sin(np.linspace(0, 9, rows))[:, None]
    pixels = np.stack([grey * 1.05, grey, grey * 0.88], axis=-1)[None].repeat(frames, axis=0)
    pixels[mask > 0] *= 0.35
    return np.clip(np.round(pixels), 0, 255).astype(np.float32)


def _geometry(
    frames: int, rows: int, cols: int, spacing: tuple[float, float] | None, slice_spacing: float | None
) -> Geometry:
    if spacing is None:
        return Geometry(reasons={"spacing": REASON})
    step = slice_spacing or 5.0
    corner = np.array([-cols / 2 * spacing[1], -rows / 2 * spacing[0], -120.0])
    positions = corner + np.arange(frames)[:, None] * np.array([0.0, 0.0, step])
    return Geometry(
        spacing,
        slice_spacing if frames > 1 else None,
        positions,
        np.array([1.0, 0, 0, 0, 1, 0]),
        "1.2.826.0.1.3680043.8.498.1",
        {} if frames > 1 else {"slice_spacing": "a single frame"},
    )


def _source(frames: int, path: str, kind: str) -> Source:
    root = "1.2.826.0.1.3680043.8.498"
    dicom = kind == "dicom"
    return Source(
        path,
        kind,
        "a" * 64,
        tuple(f"{index:04d}.dcm" for index in range(frames)) if dicom else (path,),
        tuple(f"{root}.3.{index}" for index in range(frames)) if dicom else (),
        f"{root}.2" if dicom else None,
        f"{root}.4" if dicom else None,
        details={"transfer_syntax": "1.2.840.10008.1.2.1", "bits_stored": 12} if dicom else {},
    )


def _finding(scan: Scan, mask: np.ndarray, number: int) -> Finding:
    where = mask == number
    areas = where.sum(axis=(1, 2))
    key = int(areas.argmax())
    spans = np.nonzero(areas)[0]
    outlines, _ = cv2.findContours(where[key].astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    rows, cols = np.nonzero(where[key])
    centroid = tuple(float(axis.mean()) for axis in np.nonzero(where))
    spacing, values = scan.geometry.spacing, scan.pixels.mean(axis=-1)[where].astype(float)
    across = 2 * radius_of(number, *scan.shape)
    known = spacing is not None
    reasons = {} if known else dict.fromkeys(("area_mm2", "longest_diameter_mm", "perpendicular_diameter_mm"), REASON)
    volume = scan.geometry.slice_spacing is not None and known
    return Finding(
        id=number,
        name="nodule",
        code=Code(scheme="SCT", value="786838002", meaning="Nodule of lung"),
        probability=round(0.97 - 0.13 * (number - 1), 2),
        spread=0.02 * number,
        key_frame=key,
        first_frame=int(spans[0]),
        last_frame=int(spans[-1]),
        box=Box(frame=key, row0=rows.min(), col0=cols.min(), row1=rows.max() + 1, col1=cols.max() + 1),
        centroid=centroid,
        centroid_mm=scan.geometry.to_patient(key, *centroid[1:]),
        contour=[(float(point[0][1]), float(point[0][0])) for point in max(outlines, key=len)],
        area_px=int(areas[key]),
        longest_diameter_px=round(across, 2),
        perpendicular_diameter_px=round(0.85 * across, 2),
        area_mm2=float(areas[key]) * spacing[0] * spacing[1] if spacing else None,
        longest_diameter_mm=across * max(spacing) if spacing else None,
        perpendicular_diameter_mm=0.85 * across * min(spacing) if spacing else None,
        volume_mm3=float(where.sum()) * math.prod(spacing) * scan.geometry.slice_spacing if volume else None,
        intensity=Intensity(unit=scan.unit, mean=values.mean(), sd=values.std(), min=values.min(), max=values.max()),
        malignancy=0.81 if number == 1 else None,
        attributes=[Attribute(name="texture", value="solid", score=4.6, scale="1-5", spread=0.2)],
        differential=[Reading(name="primary tumour", probability=0.6), Reading(name="granuloma", probability=0.4)],
        unknown=reasons | ({} if volume else {"volume_mm3": "a single frame" if known else REASON}),
    )


def _candidates(found: tuple[Finding, ...], rng: np.random.Generator) -> Candidates:
    count = len(found)
    centres = np.array([item.centroid for item in found], np.float32).reshape(count, 3)
    corner = np.round(centres[:, 1:]).astype(np.int32) - 32
    return Candidates(
        centres[:, 0].astype(np.int32),
        np.concatenate([corner, corner + 64], axis=1),
        np.ascontiguousarray(centres[:, 1:]),
        rng.normal(size=(count, len(LABELS))).astype(np.float32),
        rng.random((count, len(LABELS))).astype(np.float32),
        rng.normal(size=(count, 8)).astype(np.float32),
        np.full(count, 2, np.int32),
    )
