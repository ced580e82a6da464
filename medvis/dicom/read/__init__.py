"""DICOM files → scans."""
