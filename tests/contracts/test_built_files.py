"""The committed ABIs and bytecode are those that the sources give."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from market import CONTRACTS, ROOT


def check(*folders: Path, of: Path = CONTRACTS) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, of / "build.py", "--check", *folders]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("folder", ["contracts", "bench/contracts", "tests/kernel/contracts"])
def test_the_built_files_are_those_that_the_sources_give(folder: str):
    checked = check(ROOT / folder)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_changed_source_a_missing_file_and_a_leftover_are_named(tmp_path: Path):
    copy, crowd = tmp_path / "elsewhere", tmp_path / "crowd"
    shutil.copytree(CONTRACTS, copy)
    shutil.copytree(ROOT / "bench" / "contracts", crowd)
    ledger = copy / "modules" / "ledger.vy"
    ledger.write_text(ledger.read_text().replace("nothing to withdraw", "nothing owed"))
    (copy / "built" / "TestUSDT.json").unlink()
    (copy / "built" / "Old.json").write_text("{}\n")
    (crowd / "Crowd.vy").write_text((crowd / "Crowd.vy").read_text() + "# changed\n")
    checked = check(copy, crowd, of=copy)
    assert checked.returncode == 1
    assert checked.stderr.splitlines() == [
        f"differs from source: {copy}/built/ArbitratorPool.json",
        f"differs from source: {copy}/built/Old.json",
        f"differs from source: {copy}/built/P2PEscrow.json",
        f"differs from source: {copy}/built/TestUSDT.json",
        f"differs from source: {crowd}/built/Crowd.json",
    ]


def test_a_folder_without_contracts_is_refused(tmp_path: Path):
    checked = check(tmp_path)
    assert checked.returncode == 2
    assert f"no contract in {tmp_path}" in checked.stderr


@pytest.mark.parametrize("name", ["P2PEscrow", "ArbitratorPool"])
def test_a_contract_fits_into_the_size_that_chains_allow(name: str):
    built = json.loads((CONTRACTS / "built" / f"{name}.json").read_text())
    assert len(bytes.fromhex(built["bytecode"][2:])) < 24_576


def test_the_order_statuses_keep_their_numbers():
    source = (CONTRACTS / "modules" / "book.vy").read_text()
    names = [
        "CREATED",
        "SELLER_CONFIRMED",
        "COMPLETED",
        "DISPUTED",
        "RESOLVED_BUYER",
        "RESOLVED_SELLER",
        "CANCELLED",
        "EXPIRED",
    ]
    for number, name in enumerate(names, start=1):
        assert f"\n{name}: constant(uint8) = {number}\n" in source
