"""The README's example of the client, performed as it stands there."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import Stage

README = Path(__file__).parents[2] / "README.md"
EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)


async def test_the_readmes_trade_is_paid(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    examples = EXAMPLE.findall(README.read_text())
    assert len(examples) == 1
    names: dict[str, Any] = {}
    exec(compile(examples[0], str(README), "exec"), names)
    paid = await names["trade"](stage.url, stage.chains, await stage.wallet(), await stage.wallet())
    assert paid == Decimal("24.90")
    assert "Nussdorf" in capsys.readouterr().out
    assert await stage.agrees()
