"""Tables in Parquet files, read with pyarrow."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from skelrep.io.reader import ReadOptions
from skelrep.io.tables.array_cells import read_array_cells
from skelrep.io.tables.columns import columns_of
from skelrep.io.tables.rows import Rows, clips_of
from skelrep.memory_budget import bounded
from skelrep.messages import one_line, optional
from skelrep.poses import Poses


def read_parquet(path: Path, options: ReadOptions) -> Poses:
    """Reads a Parquet file with the same columns as for `read_csv`, with the extra `parquet`."""
    arrow, parquet = optional("pyarrow", "parquet"), optional("pyarrow.parquet", "parquet")
    try:
        with parquet.ParquetFile(path) as file:
            names = [str(name) for name in file.schema_arrow.names]
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                raise ValueError(f"{path} has the column {twice[0]!r} more than once; remove or rename one of them")
            try:
                columns = columns_of(names)
            except ValueError:
                kinds = [str(field.type) for field in file.schema_arrow]
                if not any(kind.startswith(("list", "large_list", "fixed_size_list", "struct")) for kind in kinds):
                    raise
                bounded(file.metadata.num_rows, len(names), 100)
                rows = [list(row.values()) for row in file.read().to_pylist()]
                return read_array_cells(path, names, rows, options)
            picked = [names[at] for at in columns.picked]
            # Repeated values take no space in the file, but they do in memory.
            bounded(file.metadata.num_rows, len(picked))
            keys = {key: [names[at] for at in columns_of_key] for key, columns_of_key in columns.keys.items()}
            table = file.read(columns=[*picked, *(name for named in keys.values() for name in named)])
            numbers = np.stack([table[name].to_numpy() for name in picked], axis=1).astype(np.float32)
            texts = {}
            for key, named in keys.items():
                cells = [["" if cell is None else str(cell) for cell in table[name].to_pylist()] for name in named]
                texts[key] = ["/".join(parts) for parts in zip(*cells)]
    except (arrow.ArrowException, OSError, MemoryError, AttributeError, TypeError, KeyError, UnicodeError) as fault:
        # pyarrow's messages have several lines, and its OSError is about the content, not the disk.
        raise ValueError(f"{path} is damaged or not a Parquet table of numbers ({one_line(fault)})") from fault
    if not len(numbers):
        raise ValueError(f"{path} contains column names but no rows")
    return clips_of(
        path, Rows(columns, numbers, texts, {key: named[0] for key, named in keys.items()}), options.skeleton
    )
