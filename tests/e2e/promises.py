"""What a test measured of a promise. `make faults` and `make load-tests` collect it (tests/load/table.py) for their table; the suite, at
smaller counts, only prints it."""

import json
import os


def report(row, count, figure, held=True):
    """One row of the table: which one, how often it was tried, what came of it, and whether the promise was held."""
    print(f"\n{row}: {count}, {figure}", flush=True)
    if "VLMD_ROWS" in os.environ:
        with open(os.environ["VLMD_ROWS"], "a", encoding="utf-8") as rows:
            rows.write(json.dumps({"row": row, "count": count, "figure": figure, "held": bool(held)}) + "\n")
