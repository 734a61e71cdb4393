"""Libraries of clips: duplicates and clusters."""

from __future__ import annotations

from skelrep.libraries.clusters import Clusters as Clusters
from skelrep.libraries.clusters import cluster as cluster
from skelrep.libraries.duplicates import Duplicates as Duplicates
from skelrep.libraries.duplicates import duplicates as duplicates
from skelrep.libraries.library import Library as Library
