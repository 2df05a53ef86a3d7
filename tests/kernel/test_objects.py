"""The object store: in a real folder, and in a node that speaks Kubo's RPC on IPFS's own importer and exporter."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from entrepot.dev.process import die_with_parent, end
from entrepot.kernel.refusal import Unavailable
from entrepot.kernel.settings import BadSettings, Settings, load
from entrepot.kernel.store.bucket import Bucket, place
from entrepot.kernel.store.cid import CHUNK, LINKS, Cid, cid_of
from entrepot.kernel.store.kubo import Kubo
from entrepot.kernel.store.objects import ObjectAltered, ObjectMissing, Objects
from entrepot.kernel.store.opening import objects_of
from tests.conftest import free_port

SIZES = (0, 1, 1_000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, 5_000_000)
NOWHERE = cid_of(b"nobody has put this anywhere")


def some(size: int) -> bytes:
    """Bytes that are always the same for a size, and no two chunks alike."""
    return random.Random(size).randbytes(size)


@asynccontextmanager
async def noded() -> AsyncIterator[str]:
    """The address of a node of its own."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(Path(__file__).parent / "kubo.mjs"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent(os.getpid()),
    )
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip()
    finally:
        await end(process)


@pytest.fixture
async def node() -> AsyncIterator[str]:
    async with noded() as url:
        yield url


@pytest.fixture(params=["folder", "kubo"])
async def objects(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Objects]:
    """Each kind of store."""
    if request.param == "folder":
        yield objects_of(Settings(home=tmp_path))
        return
    async with noded() as url, objects_of(Settings(ipfs_api=url)) as store:
        yield store


async def test_what_was_put_is_found_by_its_address(objects: Objects) -> None:
    for size in (0, 1, 5_000, CHUNK + 1, 3 * CHUNK):
        content = some(size)
        address = await objects.put(content)
        assert address == objects.address(content) == Cid.parse(str(address))
        assert await objects.get(address) == content
        assert await objects.put(content) == address


async def test_an_address_that_nothing_was_put_under_is_missing(objects: Objects) -> None:
    with pytest.raises(ObjectMissing):
        await objects.get(NOWHERE)


async def test_addresses_are_those_that_ipfs_gives(node: str) -> None:
    """Held against the reference implementation in JavaScript, whose options are those of `--cid-version=1`."""
    query = {"cid-version": "1", "raw-leaves": "true", "chunker": f"size-{CHUNK}"}
    wrong = []
    async with aiohttp.ClientSession(node) as http:
        for size in (*SIZES, CHUNK * LINKS, CHUNK * LINKS + 1):
            form = aiohttp.FormData()
            form.add_field("file", BytesIO(some(size)), filename="file")
            async with http.post("/api/v0/add", params=query, data=form) as answer:
                theirs = (await answer.json(content_type=None))["Hash"]
            if theirs != cid_of(some(size)):
                wrong.append(size)
    assert wrong == []


def test_known_addresses() -> None:
    """As `ipfs add --cid-version=1 --only-hash` prints them."""
    assert cid_of(b"") == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    assert cid_of(b"Hello world") == "bafkreide5semuafsnds3ugrvm6fbwuyw2ijpj43gwjdxemstjkfozi37hq"


BAD_ADDRESSES = [
    "",
    7,
    NOWHERE.upper(),
    NOWHERE[:-1],
    NOWHERE + "a",
    "Qm" + NOWHERE[2:46],
    "z" + NOWHERE[1:],
    NOWHERE[:-1] + "1",
    NOWHERE[:-1] + chr(ord(NOWHERE[-1]) + 1),  # the last character has bits that are not the hash's
    "bafyrei" + NOWHERE[7:],  # dag-cbor
    "bafkreq" + NOWHERE[7:],
]


@pytest.mark.parametrize("given", BAD_ADDRESSES)
def test_what_is_no_such_address_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        Cid.parse(given)


async def test_an_object_that_was_altered_is_never_handed_out_nor_taken_for_kept(tmp_path: Path) -> None:
    objects = objects_of(Settings(home=tmp_path))
    address = await objects.put(b"evidence")
    (tmp_path / "objects" / place(address)).write_bytes(b"evidencf")
    with pytest.raises(ObjectAltered):
        await objects.get(address)
    with pytest.raises(ObjectAltered):
        await objects.put(b"evidence")


async def test_readers_see_a_whole_object_or_none(tmp_path: Path) -> None:
    objects, content = objects_of(Settings(home=tmp_path)), some(8_000_000)
    address, seen = cid_of(content), set[bool]()
    writing = [asyncio.ensure_future(objects.put(content)) for _ in range(4)]
    while not all(one.done() for one in writing):
        try:
            seen.add(await objects.get(address) == content)
        except ObjectMissing:
            await asyncio.sleep(0)
    assert {await one for one in writing} == {address}
    assert seen <= {True}
    assert [path.name for path in (tmp_path / "objects").rglob("*") if path.is_file()] == [address]


async def test_a_folder_that_cannot_be_written_refuses(tmp_path: Path) -> None:
    objects = objects_of(Settings(home=tmp_path))
    (tmp_path / "objects" / cid_of(b"evidence")[-2:]).write_text("a file where the folder should be")
    with pytest.raises(Unavailable):
        await objects.put(b"evidence")


async def test_a_node_that_is_gone_or_gives_other_addresses_refuses() -> None:
    async def version_0(_request: web.Request) -> web.Response:
        return web.json_response({"Name": "file", "Hash": "QmTPqcLhVnCtjoYuCZwPzfXcFrUviiPComTepHfEEaGf7g"})

    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=200, text="<h1>A proxy</h1>")

    async with Kubo(f"http://127.0.0.1:{free_port()}", patience=5) as gone:
        for call in (gone.put(b"evidence"), gone.get(NOWHERE)):
            with pytest.raises(Unavailable, match="object store"):
                await call
    for answer in (version_0, broken):
        app, port = web.Application(), free_port()
        app.router.add_post("/api/v0/add", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        async with Kubo(f"http://127.0.0.1:{port}") as other:
            with pytest.raises(Unavailable):
                await other.put(b"evidence")
        await runner.cleanup()


async def test_a_node_that_does_not_answer_is_not_waited_for(node: str) -> None:
    async with Kubo(node, patience=0.0001) as slow:
        with pytest.raises(Unavailable):
            await slow.put(some(1_000_000))


def test_the_settings_name_the_store(tmp_path: Path) -> None:
    assert isinstance(objects_of(Settings(ipfs_api="http://127.0.0.1:5001")), Kubo)
    assert isinstance(objects_of(Settings(objects_url=(tmp_path / "of spaces").as_uri())), Bucket)
    assert (tmp_path / "of spaces").is_dir()
    with pytest.raises(BadSettings, match="ENTREPOT_OBJECTS_URL"):
        objects_of(Settings(home=tmp_path, objects_url="gopher://nowhere"))
    for wrong in ({"ENTREPOT_IPFS_API": "ipfs.local"}, {"ENTREPOT_IPFS_API": "http://x", "ENTREPOT_OBJECTS_URL": "y"}):
        with pytest.raises(BadSettings, match="ENTREPOT_IPFS_API"):
            load(wrong)
