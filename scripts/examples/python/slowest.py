#!/usr/bin/env python3
"""Find the three slowest requests of each of many keys: a command for s4 map --batch.

$S4_BATCH is a file with a line for each key: its name, the file to read and the file to
write, with tabs between.
"""

import heapq
import json
import os


def took(line):
    request = json.loads(line)
    return request["ms"], request["id"]


with open(os.environ["S4_BATCH"]) as batch:
    for entry in batch:
        _, src, dst = entry.rstrip("\n").split("\t")
        with open(src) as requests, open(dst, "w") as out:
            out.writelines(heapq.nlargest(3, requests, key=took))
