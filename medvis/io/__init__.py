"""Readers and writers, one file each. Only here and in `pacs` may pydicom be imported."""
