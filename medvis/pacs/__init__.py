"""DICOM over the network: receive and diagnose (`listen`), fetch (`pull`), send (`push`); DIMSE and DICOMweb.

Needs the extra ``pacs`` (pynetdicom, httpx). Network libraries are imported where they are used.
"""
