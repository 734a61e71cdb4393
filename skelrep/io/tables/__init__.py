"""Tables: CSV, TSV, text and Parquet, with one row per person and frame, or one per joint.

The columns of a joint are named after the joint and an axis: "Hips.X", "hips_x", "Hips:X", "HipsX", "x_hips",
"Hips_pos_x"; "hips_score" (or confidence, likelihood, visibility) is its score. A table with columns "joint", "x", "y"
and "z" has one row per joint. Other columns say what a row belongs to: a clip, a person, a frame, a time, a label.
Blocks of several header lines are read as OptiTrack Motive, Vicon Nexus, Qualisys Track Manager, DeepLabCut and OpenSim
write them.
"""

from skelrep.io.reader import Reader
from skelrep.io.tables import json_rows, parquet, text
from skelrep.io.tables.writing import write_table as write_table

READERS = (
    Reader("csv", (".csv", ".tsv", ".txt"), text.read_csv, text.is_table, count=text.count),
    Reader("trc", (".trc",), text.read_csv),
    json_rows.READER,
    Reader("parquet", (".parquet",), parquet.read_parquet, count=parquet.count),
)
