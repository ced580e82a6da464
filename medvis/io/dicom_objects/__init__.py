"""Results as DICOM objects that an archive accepts: SEG, TID 1500 SR, Secondary Capture and Parametric Map."""
