"""Writes the product-review snippets of VADER's paper as a CSV: id, rating, text.

Usage: vader_data.py OUT.csv

They come in vaderSentiment's source distribution, which pip downloads next to the CSV. `rating` is
the mean of the human ratings, from -4 to 4. The data are never committed.
"""

import csv
import io
import subprocess
import sys
import tarfile
from pathlib import Path

RELEASE = "vaderSentiment-3.3.2"
INNER = f"{RELEASE}/additional_resources/hutto_ICWSM_2014.tar.gz"
SNIPPETS = "hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt"
ROWS = 3708


def download(folder: Path) -> Path:
    archive = folder / f"{RELEASE}.tar.gz"
    if not archive.exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        what = ["--no-deps", "--no-binary", ":all:", "--dest", str(folder), "vaderSentiment==3.3.2"]
        subprocess.run(pip + what, check=True, stdin=subprocess.DEVNULL)
    return archive


def snippets(archive: Path) -> list[list[str]]:
    with tarfile.open(archive) as outer:
        inner = outer.extractfile(INNER).read()
    with tarfile.open(fileobj=io.BytesIO(inner)) as tar:
        text = tar.extractfile(SNIPPETS).read().decode("utf-8")
    return [line.split("\t", 2) for line in text.splitlines() if line]


def main() -> None:
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = snippets(download(out.parent))
    if len(rows) != ROWS or any(len(row) != 3 for row in rows):
        sys.exit(f"{len(rows)} rows instead of {ROWS}: the archive is not the one we know")
    part = out.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "rating", "text"])
        writer.writerows(rows)
    part.replace(out)
    print(f"{len(rows)} rows in {out.name}")


if __name__ == "__main__":
    main()
