#!/usr/bin/env python3
"""Count the requests on standard input by path and by how long they took.

Prints "PATH MS COUNT" lines, where MS is the lower end of a bucket: 1, 2, 4, 8 and so on.
"""

import collections
import json
import sys

counts = collections.Counter()
for line in sys.stdin:
    request = json.loads(line)
    bucket = 1 << max(0, int(request["ms"]).bit_length() - 1)
    counts[request["path"], bucket] += 1
for (path, bucket), n in sorted(counts.items()):
    print(path, bucket, n)
