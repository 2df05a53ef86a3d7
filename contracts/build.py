"""Builds every contract of each folder to its built/<Name>.json, or tells by --check what a build would change."""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import vyper
from vyper.compiler import CompilerData, FileInput
from vyper.compiler.input_bundle import FilesystemInputBundle
from vyper.compiler.output import build_abi_output


def build(source: Path) -> str:
    """The built file's text; the same on every machine for the same sources and compiler."""
    bundle = FilesystemInputBundle([source.parent])
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
    """SHA-256 over the source and all of its folder's files that it imports: sorted names, each with its content."""
    imported = (Path(each.resolved_path) for each in compiled.resolved_imports.compiler_inputs)
    ours = {each for each in imported if each.is_relative_to(source.parent)} | {source}
    whole = hashlib.sha256()
    for each in sorted(ours):
        content = each.read_bytes()
        whole.update(f"{each.relative_to(source.parent).as_posix()}\n{len(content)}\n".encode())
        whole.update(content)
    return whole.hexdigest()


def differences(folder: Path) -> list[str]:
    """Names of a folder's built files that are missing, left over, or not what the sources give."""
    wanted = {f"{source.stem}.json": build(source) for source in sources(folder)}
    there = {path.name: path.read_text() for path in (folder / "built").glob("*.json")}
    return sorted(name for name in wanted | there if wanted.get(name) != there.get(name))


def sources(folder: Path) -> list[Path]:
    """A folder's contracts; what they import lies below it."""
    return sorted(folder.resolve().glob("*.vy"))


def write(folder: Path) -> None:
    """Builds all of a folder."""
    built = folder / "built"
    built.mkdir(exist_ok=True)
    for source in sources(folder):
        made = built / f"{source.stem}.json"
        made.write_text(build(source))
        print(made)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true", help="write nothing; exit 1 and name what differs")
    options.add_argument("folders", nargs="+", type=Path, help="where sources are; each has a folder built/")
    given = options.parse_args()
    for folder in given.folders:
        if not sources(folder):
            options.error(f"no contract in {folder}")
    if not given.check:
        for folder in given.folders:
            write(folder)
        return 0
    differing = [folder / "built" / name for folder in given.folders for name in differences(folder)]
    for path in differing:
        print(f"differs from source: {path}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
