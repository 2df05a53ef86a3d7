"""`entrepot task`: what the worker does at its times, done now."""

from entrepot import console
from entrepot.commands import here
from entrepot.console import Failed
from entrepot.kernel import clock
from entrepot.kernel.settings import Settings
from entrepot.kernel.work.cron import claim_tick, finish_tick, next_tick
from entrepot.kernel.work.runner import Job
from entrepot.kernel.work.task import Task
from entrepot.main import House, find_apps


def show(*, json: bool) -> None:
    """Does `entrepot task list`."""
    settings = here.settings()
    found = sorted((task.name, task.cron) for app in find_apps(settings.apps) for task in app.tasks)
    rows = [(name, cron, f"{next_tick(cron, clock.now()):%Y-%m-%d %H:%M:%S} UTC") for name, cron in found]
    if json:
        console.as_json([{"task": name, "cron": cron, "next": moment} for name, cron, moment in rows])
    else:
        console.table(("task", "cron", "next"), rows)


def run(name: str) -> None:
    """Does `entrepot task run`."""
    with here.database() as settings:
        known = {task.name: task for app in find_apps(settings.apps) for task in app.tasks}
        if name not in known:
            raise Failed(f"there is no task {name!r}", "entrepot task list")
        here.run(run_now(settings, known[name]), settings.database_url)
    console.mark("good", f"{name} ran well")


async def run_now(settings: Settings, task: Task) -> None:
    """In this process, noted as the worker notes it. Raises `Failed`."""
    async with House(settings) as house:
        await here.require_current(settings.database_url, house.apps)
        tick, job = clock.now(), Job(task.name, task.run, house)
        await claim_tick(house.database, task.name, tick)
        failed: str | None = "it was interrupted"
        try:
            await job()
            failed = None
        except Exception as error:
            failed = f"{type(error).__name__}: {error}"
            raise Failed(f"{task.name} failed: {failed}", "mend what it names, and run it again") from error
        finally:
            await finish_tick(house.database, task.name, tick, failed)
