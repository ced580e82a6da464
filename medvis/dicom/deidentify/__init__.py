"""DICOM files without the patient's identity (PS3.15 E)."""
