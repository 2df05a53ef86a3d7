"""Builds every contract beside this file to built/<Name>.json, or tells by --check what a build would change."""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import vyper
from vyper.compiler import CompilerData, FileInput
from vyper.compiler.input_bundle import FilesystemInputBundle
from vyper.compiler.output import build_abi_output

HERE = Path(__file__).resolve().parent
BUILT = HERE / "built"


def build(source: Path) -> str:
    """The built file's text; the same on every machine for the same sources and compiler."""
    bundle = FilesystemInputBundle([HERE])
    entry = bundle.load_file(source)
    if not isinstance(entry, FileInput):
        raise TypeError(f"{source.name} is not Vyper source")
    compiled = CompilerData(entry, input_bundle=bundle)
    made = {
        "contract": source.stem,
        "compiler": f"vyper {vyper.__version__}",
        "source_sha256": source_hash(source, compiled),
        "abi": build_abi_output(compiled),
        "bytecode": f"0x{compiled.bytecode.hex()}",
    }
    return json.dumps(made, indent=1, sort_keys=True) + "\n"


def source_hash(source: Path, compiled: CompilerData) -> str:
    """SHA-256 over the source and all of this folder's files that it imports: sorted names, each with its content."""
    imported = (Path(each.resolved_path) for each in compiled.resolved_imports.compiler_inputs)
    ours = {each for each in imported if each.is_relative_to(HERE)} | {source}
    whole = hashlib.sha256()
    for each in sorted(ours):
        content = each.read_bytes()
        whole.update(f"{each.relative_to(HERE).as_posix()}\n{len(content)}\n".encode())
        whole.update(content)
    return whole.hexdigest()


def differences() -> list[str]:
    """Names of built files that are missing, left over, or not what the sources give."""
    wanted = {f"{source.stem}.json": build(source) for source in sources()}
    there = {path.name: path.read_text() for path in BUILT.glob("*.json")}
    return sorted(name for name in wanted | there if wanted.get(name) != there.get(name))


def sources() -> list[Path]:
    return sorted(HERE.glob("*.vy"))


def write() -> None:
    BUILT.mkdir(exist_ok=True)
    for source in sources():
        (BUILT / f"{source.stem}.json").write_text(build(source))
        print(f"built/{source.stem}.json")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true", help="write nothing; exit 1 and name what differs")
    if not options.parse_args().check:
        write()
        return 0
    differing = differences()
    for name in differing:
        print(f"differs from source: built/{name}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
