"""Three nodes of etcd and three of Patroni with PostgreSQL on this machine, with synchronous replication."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import urlopen

from bench.ha import processes
from entrepot.commands import here

NODES = 3
BINARIES = Path("/usr/lib/postgresql/15/bin")
PATIENCE = 120.0
DATABASE = "entrepot"
TTL, LOOP_WAIT, RETRY_TIMEOUT = 20, 5, 5
"""Seconds: how long a dead leader is waited for (the least that Patroni takes), and between two looks."""


@dataclass
class Node:
    """A machine of the trial: its folder, and the ports of PostgreSQL and of Patroni's own interface."""

    name: str
    folder: Path
    port: int = field(default_factory=lambda: here.free_port("127.0.0.1"))
    api: int = field(default_factory=lambda: here.free_port("127.0.0.1"))
    life: ExitStack = field(default_factory=ExitStack)
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """The folder of its database."""
        return self.folder / "data"

    def start(self) -> None:
        """Patroni, which starts PostgreSQL."""
        command = [processes.program("patroni"), str(self.folder / "patroni.json")]
        self.life = ExitStack()
        self.process = self.life.enter_context(processes.started(command, self.folder / "patroni.log"))

    def require_alive(self) -> None:
        """Raises `ChildProcessError` where Patroni has ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            raise ChildProcessError(f"Patroni of {self.name} ended; see {self.folder / 'patroni.log'}")

    def lose_power(self) -> None:
        """Patroni, PostgreSQL and every process below them are killed."""
        assert self.process is not None
        server = processes.postmaster(self.data)
        processes.kill(processes.family(self.process.pid) + (processes.family(server) if server else []))
        self.process.wait()

    def is_(self, role: str) -> bool:
        """Whether Patroni says so of it: `primary`, `replica` or `sync`."""
        try:
            with urlopen(f"http://127.0.0.1:{self.api}/{role}", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


@dataclass
class Cluster:
    """The nodes, and the address that names all of them and takes whoever is the primary."""

    nodes: list[Node]

    def url(self, role: str, database: str = DATABASE) -> str:
        """How a role reaches the primary, whichever it is."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"postgresql://{role}@{hosts}/{database}?target_session_attrs=read-write"

    def primary(self) -> Node:
        """Who leads, as soon as one does."""
        until = monotonic() + PATIENCE
        while monotonic() < until:
            for node in self.nodes:
                if node.is_("primary"):
                    return node
            sleep(0.1)
        raise TimeoutError(f"no node leads after {PATIENCE:.0f} s; see {self.nodes[0].folder / 'patroni.log'}")

    def wait_until_whole(self) -> Node:
        """The primary, once all others follow it and one of them synchronously."""
        until = monotonic() + PATIENCE
        while monotonic() < until:
            for node in self.nodes:
                node.require_alive()
            leading = [node for node in self.nodes if node.is_("primary")]
            # While it is being promoted, the one who leads calls itself a replica too.
            following = [node for node in self.nodes if node not in leading and node.is_("replica")]
            if len(leading) == 1 and len(following) == NODES - 1 and any(node.is_("sync") for node in following):
                return leading[0]
            sleep(0.3)
        raise TimeoutError(f"the cluster is not whole after {PATIENCE:.0f} s")


def configuration(node: Node, etcd: list[str]) -> dict[str, object]:
    """Patroni's, of one node. Strict: without a synchronous standby nothing is acknowledged."""
    shared = {
        "ttl": TTL, "loop_wait": LOOP_WAIT, "retry_timeout": RETRY_TIMEOUT, "maximum_lag_on_failover": 1_048_576,
        "synchronous_mode": True, "synchronous_mode_strict": True,
        "postgresql": {"use_pg_rewind": True, "parameters": {"max_connections": 100, "wal_log_hints": "on"}},
    }  # fmt: skip
    who = {"superuser": {"username": "postgres"}, "replication": {"username": "replicator"}}
    return {
        "scope": "entrepot", "name": node.name, "etcd3": {"hosts": etcd},
        "restapi": {"listen": f"127.0.0.1:{node.api}", "connect_address": f"127.0.0.1:{node.api}"},
        "bootstrap": {"dcs": shared, "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"]},
        "postgresql": {
            "listen": f"127.0.0.1:{node.port}", "connect_address": f"127.0.0.1:{node.port}",
            "data_dir": str(node.data), "bin_dir": str(BINARIES), "authentication": who,
            "pgpass": str(node.folder / "pgpass"),
            "pg_hba": ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
            "parameters": {"unix_socket_directories": str(node.folder), "shared_buffers": "64MB"},
        },
    }  # fmt: skip


@contextmanager
def etcd(folder: Path) -> Iterator[list[str]]:
    """Three members; yields where clients ask."""
    peers = {f"etcd{number}": (here.free_port("127.0.0.1"), here.free_port("127.0.0.1")) for number in range(NODES)}
    members = ",".join(f"{name}=http://127.0.0.1:{ports[0]}" for name, ports in peers.items())
    with ExitStack() as stack:
        for name, (peer, client) in peers.items():
            command = [
                processes.program("etcd"), "--name", name, "--data-dir", str(folder / name),
                "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                "--listen-client-urls", f"http://127.0.0.1:{client}",
                "--advertise-client-urls", f"http://127.0.0.1:{client}",
                "--initial-cluster", members, "--initial-cluster-state", "new",
                "--heartbeat-interval", "200", "--election-timeout", "2000",
            ]  # fmt: skip
            stack.enter_context(processes.started(command, folder / f"{name}.log"))
        yield [f"127.0.0.1:{client}" for _, client in peers.values()]


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """All of it, whole, in that folder, ended with the block."""
    processes.own(folder)
    with etcd(folder) as hosts, ExitStack() as stack:
        made = Cluster([Node(f"node{number}", folder / f"node{number}") for number in range(NODES)])
        for node in made.nodes:
            node.folder.mkdir()
            processes.own(node.folder)
            (node.folder / "patroni.json").write_text(json.dumps(configuration(node, hosts), indent=1))
            node.start()
            stack.callback(lambda node=node: node.life.close())
        made.wait_until_whole()
        yield made
