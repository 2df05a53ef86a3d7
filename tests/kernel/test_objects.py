"""The object store, in a real folder."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrepot.kernel.settings import BadSettings, Settings
from entrepot.kernel.store.objects import ObjectAltered, ObjectMissing, Objects, open_objects, place


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects(Settings(home=tmp_path))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=5_000))
async def test_what_was_put_is_found_by_its_address(objects: Objects, content: bytes) -> None:
    address = await objects.put(content)
    assert await objects.get(address) == content
    assert await objects.has(address)
    assert await objects.put(content) == address


async def test_an_address_that_nothing_was_put_under_is_missing(objects: Objects) -> None:
    assert not await objects.has("0" * 64)
    with pytest.raises(ObjectMissing):
        await objects.get("0" * 64)


async def test_an_object_that_was_altered_is_never_handed_out_nor_taken_for_kept(
    objects: Objects, tmp_path: Path
) -> None:
    address = await objects.put(b"evidence")
    (tmp_path / "objects" / place(address)).write_bytes(b"evidencf")
    with pytest.raises(ObjectAltered):
        await objects.get(address)
    with pytest.raises(ObjectAltered):
        await objects.put(b"evidence")


def test_a_store_that_cannot_be_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="ENTREPOT_OBJECTS_URL"):
        open_objects(Settings(home=tmp_path, objects_url="gopher://nowhere"))
