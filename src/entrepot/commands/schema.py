"""`entrepot schema`: what the database's schema is, as SQL."""

from entrepot.commands import here
from entrepot.commands.migrate import named
from entrepot.console import Failed
from entrepot.kernel.upkeep import schema
from entrepot.kernel.upkeep.backup.model import BackupFailed
from entrepot.main import find_apps


def dump(name: str) -> None:
    """Does `entrepot schema dump`."""
    with here.database() as settings:
        url, apps = here.owner_url(settings), find_apps(settings.apps)
        chosen = [named(apps, name)] if name else apps
        try:
            for app in chosen:
                print(here.run(schema.dump(url, app.name, settings.postgres_programs), url))
        except BackupFailed as failed:
            raise Failed(failed.what, failed.mend) from None
