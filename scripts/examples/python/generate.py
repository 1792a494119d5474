#!/usr/bin/env python3
"""Print made-up requests as JSON, one a line, the same ones each time.

usage: generate.py ROWS >requests.jsonl
"""

import json
import random
import sys

TYPICAL_MS = {"/": 20, "/search": 180, "/item": 45, "/cart": 90, "/pay": 700}


def main():
    rows = int(sys.argv[1])
    source = random.Random(1)
    paths = list(TYPICAL_MS)
    for row in range(rows):
        path = paths[min(int(source.expovariate(0.7)), len(paths) - 1)]
        # A service answers in about the same time, and now and then in much more.
        ms = TYPICAL_MS[path] * source.lognormvariate(0, 0.5)
        if source.random() < 0.01:
            ms *= 20
        print(json.dumps({"id": row, "path": path, "ms": round(ms, 1)}))


if __name__ == "__main__":
    main()
