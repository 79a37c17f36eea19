"""`launcher.py REPORT COMMAND…`: run the command and write what it took to REPORT, as JSON.

A process of its own, because Linux counts the memory of the process that starts another one among what that other one
took, and the benchmark itself grows large.
"""

import json
import os
import sys

report, *command = sys.argv[1:]
child = os.posix_spawnp(command[0], command, os.environ)
_, status, usage = os.wait4(child, 0)
found = {
    "cpu": usage.ru_utime + usage.ru_stime,
    "memory": usage.ru_maxrss * 1024,
    "code": os.waitstatus_to_exitcode(status),
}
with open(report, "w") as file:  # noqa: PTH123 - pathlib would be a third of this process
    json.dump(found, file)
