"""De-identification of DICOM files after PS3.15 Annex E: the Basic Application Level Confidentiality Profile."""
