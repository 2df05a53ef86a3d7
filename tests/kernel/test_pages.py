"""The interactive API page, in a real browser."""

import asyncio
import shutil
from pathlib import Path

import pytest

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


async def test_the_page_shows_every_call_and_loads_nothing_from_elsewhere(api: str, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs a browser: apt install chromium")
    browser = await asyncio.create_subprocess_exec(
        chromium,
        *QUIET,
        f"--user-data-dir={tmp_path}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--virtual-time-budget=10000",
        "--dump-dom",
        f"{api}/api/v1/docs",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    told, _ = await asyncio.wait_for(browser.communicate(), 60)
    page = told.decode()
    assert "Unable to render" not in page
    assert "Give out a nonce and the message to sign" in page
    assert "/api/v1/escrow/products" in page.replace("\u200b", "")
