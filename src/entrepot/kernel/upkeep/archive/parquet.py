"""Rows between PostgreSQL's CSV and Parquet, exact to the byte, some at a time.

With FORCE_QUOTE PostgreSQL quotes every value and leaves null empty, which is how Arrow writes text too: so the bytes
that PostgreSQL gave can be made again from what was read back, and one hash proves the whole way there and back.
Whatever a type may be, its column holds PostgreSQL's own text; only whole numbers are numbers.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from blake3 import blake3

from entrepot.kernel.store.archives import Writing
from entrepot.kernel.upkeep.archive.model import Column

PIECE = 8 * 1024 * 1024
"""Octets of CSV that make one row group: what of a table is in memory at once."""
WHOLE = {"smallint": pa.int16(), "integer": pa.int32(), "bigint": pa.int64()}
AS_POSTGRESQL = arrow_csv.WriteOptions(include_header=False, quoting_style="all_valid")
ONE_PIECE = arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
COLUMNS = b"entrepot.columns"


class Sum(NamedTuple):
    """What two copies of the same rows agree in."""

    rows: int
    digest: bytes


class Summing:
    """Counts and hashes rows as they pass.

    By BLAKE3, whose 256 bits prove as much as those of SHA-256 and take a fifth of its time.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.rows = 0
        self.hash = blake3(msgspec.json.encode(columns) + b"\n")

    def add(self, csv: bytes, rows: int) -> None:
        """Takes some rows into account."""
        self.rows += rows
        self.hash.update(csv)

    @property
    def sum(self) -> Sum:
        """Of everything so far."""
        return Sum(self.rows, self.hash.digest())


def schema(columns: Sequence[Column]) -> pa.Schema:
    """The columns as Arrow has them, with PostgreSQL's types noted."""
    fields = [pa.field(column.name, WHOLE.get(column.type, pa.string())) for column in columns]
    return pa.schema(fields, {COLUMNS: msgspec.json.encode(columns)})


class Writer:
    """Whole CSV rows in, Parquet out. For use in threads: one may read while another writes what was read before."""

    def __init__(self, file: Writing, columns: Sequence[Column]) -> None:
        self.file = file
        self.summing = Summing(columns)
        self.schema = schema(columns)
        self._reading = arrow_csv.ConvertOptions(
            column_types=self.schema,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
            check_utf8=False,  # PostgreSQL has
        )
        # Dictionaries cost a third of the time, and zstd finds what repeats without them.
        self._writer = pq.ParquetWriter(
            pa.PythonFile(file, mode="w"), self.schema, compression="zstd", use_dictionary=False, write_statistics=False
        )

    def read(self, csv: bytes) -> pa.Table:
        """Some rows as Arrow has them, which are to be written next."""
        options = arrow_csv.ReadOptions(column_names=self.schema.names, block_size=len(csv) + 1, use_threads=False)
        table = arrow_csv.read_csv(pa.BufferReader(csv), options, ONE_PIECE, self._reading)
        self.summing.add(csv, table.num_rows)
        return table

    def write(self, table: pa.Table) -> None:
        """Writes them, as a row group."""
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def close(self) -> Sum:
        """Ends the object, which is there from now on."""
        self._writer.close()
        self.file.keep()
        return self.summing.sum


class Mismatch(Exception):
    """An object is not what its ledger says."""


class Rows:
    """The rows of an object, from the one of that number on. For use in a thread; raises `Mismatch`."""

    def __init__(self, file: Any, columns: Sequence[Column] | None = None, position: int = 0) -> None:
        try:
            self.parquet = pq.ParquetFile(pa.PythonFile(file, mode="r"))
        except (OSError, pa.ArrowException) as error:
            raise Mismatch(str(error)) from error
        noted = (self.parquet.schema_arrow.metadata or {}).get(COLUMNS, b"[]")
        self.columns = msgspec.json.decode(noted, type=list[Column])
        if columns is not None and list(columns) != self.columns:
            raise Mismatch("its columns are others")
        self.position = position

    def tables(self) -> Iterator[tuple[int, pa.Table]]:
        """Row group by row group, each with the number of its first row."""
        first = 0
        for group in range(self.parquet.num_row_groups):
            rows = self.parquet.metadata.row_group(group).num_rows
            if first + rows > self.position:
                skipped = max(0, self.position - first)
                yield first + skipped, self._group(group).slice(skipped)
            first += rows

    def _group(self, group: int) -> pa.Table:
        try:
            return self.parquet.read_row_group(group)
        except (OSError, pa.ArrowException) as error:
            raise Mismatch(str(error)) from error

    def sum(self) -> Sum:
        """What it holds, all of it, as PostgreSQL gave it."""
        summing, tables = Summing(self.columns), self.tables()
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(next, tables, None)
            while (group := coming.result()) is not None:
                coming = ahead.submit(next, tables, None)
                summing.add(csv_of(group[1]), group[1].num_rows)
        return summing.sum


def csv_of(table: pa.Table) -> bytes:
    """The rows as PostgreSQL gave them and takes them."""
    out = BytesIO()
    arrow_csv.write_csv(table, out, AS_POSTGRESQL)
    return out.getvalue()
