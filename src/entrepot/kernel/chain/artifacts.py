"""Compiled contracts: contracts/built/<Name>.json in the source tree, entrepot/contracts in an installed wheel."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import msgspec

SOURCE_TREE = Path(__file__).parents[4] / "contracts" / "built"


class NoSuchArtifact(LookupError):
    """There is no compiled contract of that name, neither in the source tree nor in the package."""


class _Built(msgspec.Struct):
    contract: str
    compiler: str
    source_sha256: str
    abi: list[dict[str, Any]]
    bytecode: str


class Artifact(msgspec.Struct, frozen=True):
    """A compiled contract. `bytecode` is what creates it; encoded constructor arguments follow it."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes

    @classmethod
    def load(cls, name: str, folder: Traversable | None = None) -> "Artifact":
        """By name, as in P2PEscrow. Raises NoSuchArtifact, or ValueError for a file with another contract."""
        file = (folder or _folder()) / f"{name}.json"
        if not file.is_file():
            raise NoSuchArtifact(f"no compiled contract {name} in {file}")
        built = msgspec.json.decode(file.read_bytes(), type=_Built)
        if built.contract != name:
            raise ValueError(f"{file} holds {built.contract}, not {name}")
        return cls(name, built.abi, bytes.fromhex(built.bytecode.removeprefix("0x")))


def _folder() -> Traversable:
    packaged = resources.files("entrepot") / "contracts"
    return packaged if packaged.is_dir() else SOURCE_TREE
