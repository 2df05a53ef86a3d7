"""Archives: rows that left the database, as Parquet in an object store, each proven before its rows go."""
