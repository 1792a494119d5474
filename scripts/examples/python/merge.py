#!/usr/bin/env python3
"""Add up the counts of many histograms, whose paths are on standard input, one a line."""

import collections
import sys

counts = collections.Counter()
for name in sys.stdin:
    with open(name.rstrip("\n")) as histogram:
        for line in histogram:
            path, bucket, n = line.split()
            counts[path, int(bucket)] += int(n)
for (path, bucket), n in sorted(counts.items()):
    print(path, bucket, n)
