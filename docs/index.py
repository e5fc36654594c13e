"""Adds to the index of decisions the pages that it lacks, as of today and in force.

python -m docs.index
"""

import datetime
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "decisions"
INDEX = FOLDER / "README.md"
ROW = re.compile(r"^\| (\d+) \| \[(.+?)\]\((.+?)\) \| (\d{4}-\d\d-\d\d) \| (.+?) \|$", re.M)


def current(today: datetime.date) -> str:
    """The index with a row for each page, by number; dates and states of rows that are there stay."""
    text = INDEX.read_text(encoding="utf-8")
    known = {row[1]: (row[4], row[5]) for row in ROW.finditer(text)}
    rows = []
    for page in sorted(FOLDER.glob("0*.md")):
        number, title = page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ").split(". ", 1)
        date, status = known.get(number, (today.isoformat(), "in force"))
        rows.append(f"| {number} | [{title}]({page.name}) | {date} | {status} |")
    return ROW.split(text)[0] + "\n".join(rows) + "\n"


if __name__ == "__main__":
    INDEX.write_text(current(datetime.date.today()), encoding="utf-8")
