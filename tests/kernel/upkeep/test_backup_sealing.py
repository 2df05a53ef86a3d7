"""Sealed backups: nobody reads or forges them without a key, and what was kept before there were keys is told apart."""

import shutil
from datetime import datetime

import pytest

from entrepot.kernel.db.database import Database
from entrepot.kernel.upkeep.backup import work
from entrepot.kernel.upkeep.backup.create import create
from entrepot.kernel.upkeep.backup.model import BackupDamaged, BackupFailed, BackupUnsealed, Kind
from entrepot.kernel.upkeep.backup.place import bytes_of, place_of
from entrepot.kernel.upkeep.backup.verify import verify
from tests.kernel.upkeep.cellar import APPS, KEYS, Cellar, cellar, server

__all__ = ["cellar", "server"]


async def test_what_is_sealed_cannot_be_read_without_its_key_nor_under_another_name(cellar: Cellar) -> None:
    secret = "a note that nobody else may read"
    settings = cellar.settings(backup_keys=KEYS)
    await cellar.commit(secret)
    first, second = await create(settings), await create(settings)
    assert first.key == "new"
    with pytest.raises(BackupFailed, match="key 'new', which is not given"):
        await cellar.restored()
    for path in (cellar.folder / "backups").rglob("*.gz"):
        assert secret.encode() not in path.read_bytes()
        assert path.read_bytes()[:2] != b"\x1f\x8b"
    place = cellar.place
    names = [f"backups/{backup.id}/manifest.gz" for backup in (first, second)]
    assert bytes_of(place.read(names[0])).startswith(b"{")
    shutil.copy(cellar.file(names[1]), cellar.file(names[0]))
    with pytest.raises(BackupDamaged, match="altered or cut off"):
        bytes_of(place.read(names[0]))


async def test_what_was_sealed_with_an_older_key_still_opens(cellar: Cellar) -> None:
    await cellar.commit("sealed with the old key")
    await create(cellar.settings(backup_keys={"old": KEYS["old"]}))
    assert (await cellar.restored(backup_keys=KEYS))[-1] == "sealed with the old key"


@pytest.mark.parametrize("name", ["base.tar.gz", "manifest.gz", "backup.sha256.gz"])
async def test_what_somebody_put_in_place_of_a_sealed_object_is_refused(cellar: Cellar, name: str) -> None:
    """Who may write to the store, and has no key, forges a backup that agrees with itself."""
    settings = cellar.settings(backup_keys=KEYS)
    backup = await create(settings)
    forger = place_of(cellar.settings(), backup.cluster.system)
    path = f"backups/{backup.id}/{name}"
    forger.keep(path, b"".join(cellar.place.read(path)))
    using = cellar.restored(backup_keys=KEYS) if name != "manifest.gz" else create(settings, incremental=True)
    with pytest.raises(BackupUnsealed, match=f"{path} is not sealed, though keys are given") as refused:
        await using
    assert refused.value.mend.startswith("entrepot backup create")


async def test_what_a_backup_says_of_itself_can_be_read_by_anybody_and_altered_by_nobody(cellar: Cellar) -> None:
    settings = cellar.settings(backup_keys=KEYS)
    backup = await create(settings)
    forger = place_of(cellar.settings(), backup.cluster.system)
    assert forger.backups() == [backup]
    path = cellar.file(f"backups/{backup.id}/backup.json")
    path.write_text(path.read_text().replace('"pg_stat_statements"', '"/tmp/library/of/the/forger"'))
    with pytest.raises(BackupDamaged, match="backup.json was altered"):
        await cellar.restored(backup_keys=KEYS)
    path.write_text("{")
    with pytest.raises(BackupDamaged, match="backup.json was altered"):
        await cellar.restored(backup_keys=KEYS)


async def test_a_key_that_was_thrown_away_early_loses_its_own_backups_only(cellar: Cellar) -> None:
    await create(cellar.settings(backup_keys={"old": KEYS["old"]}))
    await cellar.commit("since then")
    settings = cellar.settings(backup_keys={"new": KEYS["new"]})
    async with Database(cellar.url, settings) as database:
        await work.make(settings, database)
        assert (await work.clear(settings, database)).backups == ()
    assert (await cellar.restored(backup_keys={"new": KEYS["new"]}))[-1] == "since then"


async def test_what_was_kept_before_there_were_keys_is_taken_only_where_that_is_allowed(cellar: Cellar) -> None:
    async with cellar.archiving():
        await create(cellar.settings())
        then = await cellar.commit("before there were keys")
        await cellar.archived()
    with_keys = cellar.settings(backup_keys=KEYS, backup_hourly=True)
    with pytest.raises(BackupUnsealed):
        await cellar.restored(backup_keys=KEYS)
    (finding,) = (await verify(with_keys, APPS, patience=5)).findings
    assert "is not sealed, though keys are given" in finding
    async with cellar.archiving(with_keys), Database(cellar.url, with_keys) as database:
        await cellar.commit("archived with keys")
        await cellar.archived()
        assert "not sealed" in (await work.standing(with_keys)).lacks[0][0]
        await work.hourly(with_keys, database)
        kinds = [backup.kind for backup in cellar.place.backups()]
        assert kinds == [Kind.FULL, Kind.FULL], "a sealed one is due at once"
        now = await cellar.commit("since there are keys")
        assert (await verify(with_keys, APPS, patience=20)).findings == ()
        assert (await work.standing(with_keys)).lacks == []
    assert (await restored(cellar, now))[-1] == "since there are keys"
    with pytest.raises(BackupUnsealed):
        await restored(cellar, then)
    assert (await restored(cellar, then, unsealed=True))[-1] == "before there were keys"


async def restored(cellar: Cellar, moment: datetime, *, unsealed: bool = False) -> list[str]:
    return await cellar.restored(moment.isoformat(), unsealed=unsealed, backup_keys=KEYS)
