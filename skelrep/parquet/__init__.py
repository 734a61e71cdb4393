"""Safe reading of untrusted Parquet: what a file states is compared with what it contains before pyarrow reads it."""

from skelrep.parquet.columns import CELL_BYTES as CELL_BYTES
from skelrep.parquet.columns import cells_of as cells_of
from skelrep.parquet.columns import dictionaries as dictionaries
from skelrep.parquet.columns import opened as opened
from skelrep.parquet.columns import read_columns as read_columns
from skelrep.parquet.columns import readable as readable
