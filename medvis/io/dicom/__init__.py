"""DICOM: one file a concern. The reader is `reader.DicomReader`; pydicom is imported here and in `pacs` only."""
