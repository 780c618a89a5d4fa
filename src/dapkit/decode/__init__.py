"""Downloaded files decoded: decompressed, counted, read as rows or records. Only Parquet is left to DuckDB."""
