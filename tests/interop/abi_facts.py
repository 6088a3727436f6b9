"""Prints, as JSON, what the ABI files of the Python package `ogpu` say.

By network and contract: each function's selector, outputs and mutability by its signature, and
each event's first topic and number of indexed parameters.
"""

import importlib.util
import json
import sys
from pathlib import Path

from eth_utils import keccak


def shape(item):
    """The canonical type of a parameter: structs as tuples of their members."""
    if not item["type"].startswith("tuple"):
        return item["type"]
    return f"({','.join(map(shape, item['components']))}){item['type'][5:]}"


def signature(entry):
    return f"{entry['name']}({','.join(map(shape, entry['inputs']))})"


def facts(path):
    """Functions, events and errors of one ABI file."""
    found = {"functions": {}, "events": {}, "errors": {}}
    for entry in json.loads(path.read_text(encoding="utf-8")):
        if entry["type"] not in ("function", "event", "error"):
            continue
        name = signature(entry)
        digest = keccak(text=name).hex()
        if entry["type"] == "function":
            found["functions"][name] = {
                "selector": digest[:8],
                "outputs": f"({','.join(map(shape, entry['outputs']))})",
                "mutability": entry["stateMutability"],
            }
        elif entry["type"] == "event":
            indexed = sum(parameter["indexed"] for parameter in entry["inputs"])
            found["events"][name] = {"topic": digest, "indexed": indexed}
        else:
            found["errors"][name] = digest[:8]
    return found


def main():
    spec = importlib.util.find_spec("ogpu")
    if spec is None or spec.origin is None:
        sys.exit("the package ogpu is not installed")
    folder = Path(spec.origin).parent / "chain" / "abis"
    report = {
        network.name: {
            path.stem.removesuffix("Abi"): facts(path) for path in sorted(network.glob("*Abi.json"))
        }
        for network in sorted(folder.iterdir())
        if network.is_dir()
    }
    json.dump(report, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
