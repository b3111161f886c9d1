"""Makes the table of diagnoses in docs/safety.md: `python -m pages.safety`, run at the root of the tree."""

from pathlib import Path

from mmm.monitor.assess.diagnosis import TABLE, Diagnosis

PAGE = Path("docs/safety.md")
BEGIN = "<!-- The table of mmm/monitor/assess/diagnosis.py; made by python -m pages.safety -->\n"
END = "<!-- End of the table -->\n"


def table() -> str:
    """Return the table of diagnoses."""
    head = "| diagnosis | `show`, `explain` and the log say | may come from | the writer role | when | what to do |\n"
    return f"{head}|---|---|---|---|---|---|\n" + "".join(_row(row) for row in TABLE)


def _row(row: Diagnosis) -> str:
    sentence = row.sentence.format(name="db1", others="db2, db3", port=9989)
    return f"| `{row.name}` | {sentence} | {row.causes} | {row.writer} | {row.when} | {row.then} |\n"


def with_table(page: str) -> str:
    """Return the page with the table as it is now; raises ValueError where its place is not marked."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE}: the table's place is not marked by {BEGIN!r} and {END!r}")
    return before + begin + table() + end + after


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
