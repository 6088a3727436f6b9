"""Compares a run's results with the CSV that went in. Prints one JSON object.

Usage: vader_check.py RESULTS.jsonl ROWS.csv [LIMIT]

`in_order` says whether every row of the CSV (the first LIMIT of them) is in the results once, in
its place; `equal` whether each output is what VADER itself says about the row's text; `correlation` is
Pearson's, of `compound` with the human rating.
"""

import csv
import json
import math
import sys

import vader


def correlation(xs: list[float], ys: list[float]) -> float:
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    both = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys))
    spread = sum((x - mean_x) ** 2 for x in xs) * sum((y - mean_y) ** 2 for y in ys)
    return both / math.sqrt(spread)


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        results = [json.loads(line) for line in file if line.strip()]
    with open(sys.argv[2], encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if len(sys.argv) > 3:
        rows = rows[: int(sys.argv[3])]
    outputs = [result["output"] for result in results]
    pairs = [
        (output["compound"], float(row["rating"]))
        for output, row in zip(outputs, rows)
        if output is not None
    ]
    report = {
        "rows": len(rows),
        "results": len(results),
        "in_order": [result["key"] for result in results] == [row["id"] for row in rows],
        "equal": all(
            output == vader.score(row["text"]) for output, row in zip(outputs, rows)
        ),
        "correlation": round(correlation(*map(list, zip(*pairs))), 4) if len(pairs) > 1 else None,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
