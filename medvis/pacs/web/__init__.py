"""DICOMweb (PS3.18): a client, and a study or series as files."""
