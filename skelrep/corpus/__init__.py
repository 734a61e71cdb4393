"""Embeddings of corpora: many files become a folder of shards, which survives any interruption and can grow.

`embed` writes the folder, `open` reads it. A folder contains `manifest.json` (`manifest`), one file such as
`part-00017.parquet` for each shard (`parts`) and, if something was skipped, `errors.parquet`.
"""

from __future__ import annotations

from skelrep.corpus.embedding import Progress as Progress
from skelrep.corpus.embedding import Summary as Summary
from skelrep.corpus.embedding import embed as embed
from skelrep.corpus.shards import Done as Done
from skelrep.corpus.stored import Corpus as Corpus
from skelrep.corpus.stored import is_corpus as is_corpus
from skelrep.corpus.stored import open as open
