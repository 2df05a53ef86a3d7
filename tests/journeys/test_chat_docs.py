"""The example in docs/chat.md, performed as it stands there."""

import re
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from tests.conftest import TestDatabase
from tests.journeys.parlour import listening, parlour

PAGE = Path(__file__).parents[2] / "docs" / "chat.md"
EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)


async def test_the_talk_of_the_page_takes_place(database: TestDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    [example] = EXAMPLE.findall(PAGE.read_text())
    names: dict[str, Any] = {}
    exec(compile(example, str(PAGE), "exec"), names)
    async with parlour(database) as room:
        ada, bob = Account.create(), Account.create()
        seen = await names["talk"](room.url, ada, bob)
        assert "Nussdorf" in capsys.readouterr().out
        async with listening(await room.comes(bob), seen) as his:
            assert await his.texts(1) == ["It is."]
