"""`entrepot maintain`: VACUUM, ANALYZE and REINDEX of what needs them."""

import msgspec
import typer

from entrepot import console
from entrepot.commands import here
from entrepot.kernel.app import Apps
from entrepot.kernel.monitor.maintenance import maintain as do
from entrepot.main import find_apps


def maintain(*, dry_run: bool, json: bool) -> None:
    """Does `entrepot maintain`."""
    with here.database() as settings:
        url = here.owner_url(settings)
        done = here.run(do(url, Apps(find_apps(settings.apps)), dry_run=dry_run), url)
    if json:
        console.as_json({"done": not dry_run, "items": [msgspec.structs.asdict(each) for each in done]})
    else:
        for each in done:
            console.mark("bad" if each.failed else "good", f"{each.statement}  ({each.failed or each.why})")
        if not done:
            console.mark("good", "nothing needs it")
    raise typer.Exit(1 if any(each.failed for each in done) else 0)
