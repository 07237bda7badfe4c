"""Rows: the one joint between running and reading.

A running cell appends rows to a file of JSON lines (`lines`), each with its check (`stamps`); a sweep gathers them into
a table (`tables`, `parquet`); `studies` are what figures and verdicts see of it, `outcomes` the answers one by one. The
columns are in `schema`, what the rows of a cell must be in `validity`, what a table must be in `fitting`; `identity`
tells which code rows come from.
"""

from benchmark.rows.files import (
    DamagedFileError,
    OtherCodeError,
    path_in_errors,
    read_plain,
    set_aside,
    write_atomically,
)
from benchmark.rows.fitting import conform
from benchmark.rows.lines import append, read, rewrite, seal
from benchmark.rows.parquet import read_frame, write_frame
from benchmark.rows.schema import (
    COLUMNS,
    IDENTITY,
    LATER,
    NOTED,
    REPORT,
    SCHEMA_VERSION,
    WALL_COLUMNS,
    Column,
    Row,
    Status,
    dictionary,
    is_setting,
)
from benchmark.rows.stamps import Seal
from benchmark.rows.tables import concatenate, read_table, read_tables, table, tables_in, write_table

__all__ = [
    "COLUMNS",
    "IDENTITY",
    "LATER",
    "NOTED",
    "REPORT",
    "SCHEMA_VERSION",
    "WALL_COLUMNS",
    "Column",
    "DamagedFileError",
    "OtherCodeError",
    "Row",
    "Seal",
    "Status",
    "append",
    "concatenate",
    "conform",
    "dictionary",
    "is_setting",
    "path_in_errors",
    "read",
    "read_frame",
    "read_plain",
    "read_table",
    "read_tables",
    "rewrite",
    "seal",
    "set_aside",
    "table",
    "tables_in",
    "write_atomically",
    "write_frame",
    "write_table",
]
