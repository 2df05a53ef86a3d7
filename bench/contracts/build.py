"""Builds the contracts beside this file, each to its .json; runs under .venv-contracts."""

import hashlib
import json
from pathlib import Path

import vyper

HERE = Path(__file__).parent


def main() -> None:
    for source in sorted(HERE.glob("*.vy")):
        text = source.read_text()
        made = vyper.compile_code(text, output_formats=["abi", "bytecode"])
        built = {
            "contract": source.stem,
            "compiler": f"vyper {vyper.__version__}",
            "source_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "abi": made["abi"],
            "bytecode": made["bytecode"],
        }
        source.with_suffix(".json").write_text(json.dumps(built, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
