"""An outside writer: the findings as a table."""

import csv

from medvis.core.protocols import Writer


class CsvWriter(Writer):
    name = "csv"

    def files(self, outcome_frames):
        return ("findings.csv",)

    def applies(self, outcome):
        return bool(outcome.report.findings)

    def write(self, outcome, folder):
        path = folder / "findings.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["id", "name", "probability"])
            table.writerows((item.id, item.name, item.probability) for item in outcome.report.findings)
        return [path]
