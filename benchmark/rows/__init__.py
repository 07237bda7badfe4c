"""Rows: the one joint between running and reading.

A running cell appends rows to a file of JSON lines (`files`); a sweep gathers them into a table (`tables`); `studies`
are what figures and verdicts see of a table, `outcomes` the answers one by one. The columns are in `schema`.
"""

from benchmark.rows.files import DamagedFileError, append, read, rewrite, set_aside, write_atomically
from benchmark.rows.schema import COLUMNS, LATER, SCHEMA_VERSION, WALL_COLUMNS, Column, Row, Status, dictionary
from benchmark.rows.tables import read_table, read_tables, table, tables_in, write_frame, write_table

__all__ = [
    "COLUMNS",
    "LATER",
    "SCHEMA_VERSION",
    "WALL_COLUMNS",
    "Column",
    "DamagedFileError",
    "Row",
    "Status",
    "append",
    "dictionary",
    "read",
    "read_table",
    "read_tables",
    "rewrite",
    "set_aside",
    "table",
    "tables_in",
    "write_atomically",
    "write_frame",
    "write_table",
]
