"""Results as DICOM objects, each with the check that reads it back."""
