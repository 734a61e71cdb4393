"""Published data sets of Kinect skeletons, in their original files: clips with labels, subjects and the usual splits.

Files are recognised by their names; lists that belong to a data set (of actions or activities) are found next to them.
"""

from skelrep.io.data_sets import (
    cad60,
    florence3d,
    kard,
    kimore,
    msr_action3d,
    msr_daily_activity,
    ntu_numpy,
    nw_ucla_text,
    sbu,
    utd_mhad,
    utkinect,
)

READERS = (
    ntu_numpy.READER,
    utd_mhad.READER,
    msr_action3d.READER,
    msr_daily_activity.READER,
    utkinect.READER,
    florence3d.READER,
    sbu.READER,
    kard.READER,
    cad60.READER,
    kimore.READER,
    nw_ucla_text.READER,
)
