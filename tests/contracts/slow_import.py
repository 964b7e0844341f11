"""A module whose import takes long, as torch's does."""

import sys
import time

sys.stdout.write(f"importing {sys.argv[1:]}\n")
sys.stdout.flush()
time.sleep(600)
