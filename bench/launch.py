"""Runs one command and writes its peak resident memory (KiB) and seconds to a file: launch.py FILE COMMAND...

A process of its own, because Linux counts what a parent held at the fork into a child's `ru_maxrss`: a bench script that has a gigabyte
of data in memory would give that gigabyte to everything it starts.
"""

import resource
import subprocess
import sys
import time

start = time.perf_counter()
code = subprocess.run(sys.argv[2:]).returncode
seconds = time.perf_counter() - start
with open(sys.argv[1], "w") as file:
    file.write(f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss} {seconds}")
sys.exit(code)
