"""Makes corpus_digests.csv with decoders that medvis does not use. Run it by hand when the corpus changes:

    python tests/corpus_maker.py

It wants DCMTK's and GDCM's command-line tools, and PyAV (FFmpeg's own JPEG 2000 and JPEG-LS decoders) for what those
do not decode or decode with the library that medvis uses. Headers and encapsulation are read by pydicom.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import corpus
import numpy as np
from corpus import Row
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

JPEG = {f"1.2.840.10008.1.2.4.{one}" for one in (50, 51, 57, 70)}
LOSSY_JPEG = {f"1.2.840.10008.1.2.4.{one}" for one in (50, 51)}
JPEG_LS = {f"1.2.840.10008.1.2.4.{one}" for one in (80, 81)}
JPEG_2000 = {f"1.2.840.10008.1.2.4.{one}" for one in (90, 91, 201, 202, 203)}
LOSSY_J2K, LOSSY_HTJ2K = "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"
DEFLATED_FRAME, RLE = "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.5"
SAME_IMAGE = {
    "rtdose_expb.dcm": "rtdose.dcm",  # big endian, but not as VR OW asks for it: DCMTK and GDCM misread these two
    "rtdose_expb_1frame.dcm": "rtdose_1frame.dcm",
    "pydicom-data--liver_deflate.dcm": "pydicom-data--liver.dcm",  # no other decoder knows these four
    "pydicom-data--liver_rle.dcm": "pydicom-data--liver.dcm",
    "pydicom-data--liver_nonbyte_aligned_deflate.dcm": "pydicom-data--liver_nonbyte_aligned.dcm",
    "pydicom-data--liver_nonbyte_aligned_rle.dcm": "pydicom-data--liver_nonbyte_aligned.dcm",
}
OPTIONS = {
    "pylibjpeg-data--JPEGLossless_1s_1f_i_16_16_bad.dcm": ["--workaround-pred6"],
    "pylibjpeg-data--SC_rgb_jpeg_lossy_gdcm.dcm": ["--conv-always"],  # it says RGB and holds YCbCr
}
WITH_FFMPEG = {"pydicom-data--JLSL_08_07_0_1F.dcm"}  # CharLS of both tool kits refuses it
WITH_GDCM = {"SC_rgb_jpeg.dcm"}  # DCMTK does not parse its header


def truth(path: Path) -> tuple[str, float, np.ndarray]:
    """(decoder, tolerance, stored values) of a file with pixels."""
    if path.name in SAME_IMAGE:
        other = path.with_name(SAME_IMAGE[path.name])
        decoder, tolerance, values = truth(other)
        return f"{decoder} of {other.name}", tolerance, values
    ds = dcmread(path, force=True)
    syntax = str(ds.file_meta.get("TransferSyntaxUID", ""))
    if syntax in JPEG_2000 or path.name in WITH_FFMPEG:
        values = np.stack([ffmpeg(one, ds, syntax) for one in streams(ds)])
        return both(path, values) if syntax == LOSSY_J2K else ("ffmpeg", float(syntax == LOSSY_HTJ2K), values)
    tool = "dcmdrle" if syntax == RLE else "dcmdjpeg" if syntax in JPEG else "dcmdjpls" if syntax in JPEG_LS else ""
    command = [tool, *OPTIONS.get(path.name, [])] if tool else ["dcmconv", "+te"]
    if path.name in WITH_GDCM:
        command = ["gdcmconv", "--raw"]
    values, tolerance = unpacked(converted(path, command), syntax), float(syntax in LOSSY_JPEG)
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        return f"{command[0]}, palette", 0.0, coloured(ds, values)
    if ds.PhotometricInterpretation.startswith("YBR") and not tool:
        return f"{command[0]}, PS3.3 C.7.6.3.1.2", 1.0, rgb(values)
    return " ".join([command[0], *OPTIONS.get(path.name, [])]), tolerance, values


def both(path: Path, near: np.ndarray) -> tuple[str, float, np.ndarray]:
    """Lossy JPEG 2000 rounds at the end: GDCM's values, if FFmpeg's are no farther than 1 from all of them."""
    values = unpacked(converted(path, ["gdcmconv", "--raw"]), LOSSY_J2K)
    if np.abs(values - near).max() > 1:
        raise RuntimeError(f"{path}: GDCM and FFmpeg differ")
    return "gdcmconv, ffmpeg within 1", 1.0, values


def converted(path: Path, command: list[str]) -> Dataset:
    """The file with native pixels."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "native.dcm"
        done = subprocess.run([*command, str(path), str(target)], check=False, capture_output=True, text=True)
        if done.returncode or not target.exists():
            raise RuntimeError(f"{command[0]}: {done.stderr.strip()[:200]}")
        ds = dcmread(target, force=True)
        _ = bytes_of(ds)
        return ds


def bytes_of(ds: Dataset) -> bytes:
    return next(ds[key].value for key in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if key in ds)


def unpacked(ds: Dataset, syntax: str) -> np.ndarray:
    """Stored values of native little-endian pixels (PS3.5 8)."""
    frames, samples = int(ds.get("NumberOfFrames") or 1) or 1, int(ds.get("SamplesPerPixel", 1))
    raw, shape = bytes_of(ds), (frames, ds.Rows, ds.Columns)
    count = int(np.prod(shape)) * samples
    if "PixelData" not in ds:
        return np.frombuffer(raw, "<f4" if "FloatPixelData" in ds else "<f8", count).reshape(shape)
    allocated, signed = int(ds.BitsAllocated), ds.get("PixelRepresentation", 0) == 1
    stored = int(ds.get("BitsStored", allocated))
    if allocated == 1:
        return np.unpackbits(np.frombuffer(raw, "u1"), bitorder="little")[:count].reshape(shape)
    if ds.PhotometricInterpretation == "YBR_FULL_422" and len(raw) < count:
        return spread(np.frombuffer(raw, "u1", count * 2 // 3).reshape(frames, ds.Rows, ds.Columns // 2, 4))
    values = np.frombuffer(raw, f"<u{allocated // 8}", count).astype(np.int64)
    if syntax not in LOSSY_JPEG:  # whose values may pass the stored bits a little
        values &= (1 << stored) - 1
    if signed:
        values = np.where(values >> (stored - 1) & 1, values - (1 << stored), values)
    if samples == 1:
        return values.reshape(shape)
    if ds.get("PlanarConfiguration", 0) == 1:
        return values.reshape(frames, samples, ds.Rows, ds.Columns).transpose(0, 2, 3, 1)
    return values.reshape(*shape, samples)


def spread(pairs: np.ndarray) -> np.ndarray:
    """YBR of each pixel from Y1 Y2 CB CR of each pair [frames, rows, pairs, 4] (PS3.3 C.7.6.3.1.2)."""
    frames, rows, half, _ = pairs.shape
    out = np.empty((frames, rows, 2 * half, 3), np.uint8)
    out[:, :, 0::2, 0], out[:, :, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    out[:, :, 0::2, 1:] = out[:, :, 1::2, 1:] = pairs[..., 2:]
    return out


def rgb(ybr: np.ndarray) -> np.ndarray:
    luma, blue, red = (ybr[..., one].astype(float) - offset for one, offset in enumerate((0, 128, 128)))
    channels = (luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue)
    return np.clip(np.rint(np.stack(channels, -1)), 0, 255).astype(np.int64)


def coloured(ds: Dataset, index: np.ndarray) -> np.ndarray:
    """RGB through the three tables (PS3.3 C.7.6.3.1.5)."""
    channels = []
    for name in ("Red", "Green", "Blue"):
        count, first, _ = (int(one) for one in ds[f"{name}PaletteColorLookupTableDescriptor"].value)
        raw, count = ds[f"{name}PaletteColorLookupTableData"].value, count or 1 << 16
        table = np.frombuffer(raw, "<u2" if len(raw) >= 2 * count else "u1", count)
        channels.append(table[np.clip(index.astype(np.int64) - first, 0, count - 1)])
    return np.stack(channels, -1)


def streams(ds: Dataset) -> list[bytes]:
    return list(generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames") or 1)))


def ffmpeg(stream: bytes, ds: Dataset, syntax: str) -> np.ndarray:
    """FFmpeg scales grey up to whole bytes and shifts signed values: both are undone, as the stream's SIZ says."""
    import av

    codec = av.CodecContext.create("jpeg2000" if syntax in JPEG_2000 else "jpegls", "r")
    values = [*codec.decode(av.Packet(stream)), *codec.decode(None)][0].to_ndarray().astype(np.int64)
    if syntax not in JPEG_2000:
        return values >> (8 - stream[stream.index(b"\xff\xf7") + 4])
    kind = stream[stream.index(b"\xff\x4f\xff\x51") + 42]
    bits, signed = (kind & 127) + 1, kind >= 128
    values >>= (8 if bits <= 8 else 16) - bits
    if signed:
        return values - (1 << (bits - 1))
    stored = int(ds.BitsStored)
    return np.where(values >> (stored - 1) & 1, values - (1 << stored), values) if ds.PixelRepresentation else values


def row(name: str, path: Path) -> Row:
    """The row of a file. What medvis refuses is listed with its words, which a person then looks at."""
    from medvis.errors import InputError
    from medvis.io.open import open_scan

    try:
        scan = open_scan(path)
    except InputError as error:
        found = error.found.replace(str(path), "").replace(str(path.parent), "")
        return Row(name, syntax_of(path), found.strip(" :").split(":")[0].split(",")[0][:60])
    decoder, tolerance, values = truth(path)
    spread_over = " ".join(f"{one:g}" for one in corpus.samples(values)) if tolerance else ""
    syntax = scan.source.details["transfer_syntax"]
    return Row(name, syntax, "read", decoder, f"{tolerance:g}", corpus.digest(values), spread_over)


def syntax_of(path: Path) -> str:
    try:
        return dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID.name
    except Exception:  # no DICOM file, or one without a transfer syntax
        return ""


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    table = []
    for name, path in corpus.files():
        table.append(row(name, path))
        sys.stderr.write(f"{table[-1].file} {table[-1].expected} {table[-1].decoder}\n")
    corpus.write(table)
