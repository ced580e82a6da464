"""DICOM over the network: receive and diagnose (`listen`), fetch (`pull`), send (`push`).

`dimse` speaks DIMSE (PS3.7), `web` DICOMweb (PS3.18), `listener` is `medvis listen`. What serves both protocols lies
beside them: peers, TLS, queries, pulling and pushing. Needs the extra ``pacs`` (pynetdicom, httpx); network libraries
are imported where they are used.
"""
