"""Mutated inputs for every reader and store, read in a process with limits of time and memory.

    python -m tests.fuzz --cases 100000 [--formats bvh csv ...] [--seed 0] [--keep FOLDER]

`seeds` makes one small valid input per format, `mutators` damages it, `worker` reads it in a process of its own, and
`run` counts what happened: *clean* is a documented error in one sentence, *accepted* is a result, and everything else
(*crash*, *hang*, *memory*) is a fault.
"""
