"""Statements with named parameters."""

import pytest

from entrepot.kernel.db.query import Query


def test_a_name_is_numbered_once_however_often_it_stands() -> None:
    query = Query("SELECT :a, :b, :a WHERE x = :b")
    assert query.sql == "SELECT $1, $2, $1 WHERE x = $2"
    assert query.bind({"b": 2, "a": 1}) == [1, 2]


def test_a_cast_is_no_name() -> None:
    assert Query("SELECT :a::text, b::int[] FROM t").sql == "SELECT $1::text, b::int[] FROM t"


def test_a_missing_value_is_told() -> None:
    with pytest.raises(TypeError, match="needs 'b'"):
        Query("SELECT :a, :b").bind({"a": 1})


def test_a_surplus_value_is_told() -> None:
    with pytest.raises(TypeError, match=r"does not know \['c'\]"):
        Query("SELECT :a").bind({"a": 1, "c": 2})


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t VALUES (1)",
        "insert\n into t select 1",
        "UPDATE t SET a = 1",
        "UPDATE s.t AS u SET a = 1",
        'UPDATE ONLY "s"."t" u SET a = 1',
        "DELETE FROM t",
        "WITH gone AS (DELETE FROM t RETURNING a) SELECT a FROM gone",
        "MERGE INTO t USING u ON true WHEN MATCHED THEN DO NOTHING",
        "SELECT a FROM t FOR UPDATE SKIP LOCKED",
        "SELECT a FROM t FOR NO KEY UPDATE",
        "SELECT a FROM t FOR SHARE",
        "SELECT nextval('s')",
    ],
)
def test_a_statement_that_writes_or_locks_is_known(text: str) -> None:
    assert Query(text).writes


@pytest.mark.parametrize(
    "text",
    [
        "SELECT updated_at, deleted_at FROM t",
        "SELECT a FROM updates WHERE set = 1",
        "SELECT a FROM t WHERE last_update > :since",
        "SELECT inserted, into_stock FROM t",
    ],
)
def test_a_statement_that_only_reads_is_known(text: str) -> None:
    assert not Query(text).writes


def test_a_statement_shows_itself_on_one_line() -> None:
    assert repr(Query("SELECT\n    1")) == "Query('SELECT 1')"
