#!/usr/bin/env python3
"""peak.py PROGRAM MEBIBYTES FOLDER: converts every capture in FOLDER; none may hold more than that at any moment."""
import os
import subprocess
import sys
import tempfile

program, most, folder = sys.argv[1], float(sys.argv[2]), sys.argv[3]
NO_CAPTURES = (".json", ".md", ".py", ".txt", ".keys")
captures = sorted(
    os.path.join(place, name) for place, _, names in os.walk(folder) for name in names if not name.endswith(NO_CAPTURES)
)
worst = (0.0, "")
with tempfile.TemporaryDirectory() as work:
    for capture in captures:
        out = os.path.join(work, "out.har")
        process = subprocess.Popen(
            [program, "-q", capture, "-o", out], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        worst = max(worst, (usage.ru_maxrss / 1024, os.path.basename(capture)))
        if usage.ru_maxrss / 1024 >= most:
            print(f"peak: {os.path.basename(capture)} held {usage.ru_maxrss / 1024:.1f} MiB")
print(f"peak: {len(captures)} captures, at most {worst[0]:.1f} MiB ({worst[1]})")
sys.exit(not captures or worst[0] >= most)
