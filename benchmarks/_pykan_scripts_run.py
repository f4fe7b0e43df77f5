"""Run one script in pykan's API, on pykan or on our layer; print its final error and seconds."""

import argparse
import contextlib
import gc
import json
import os
import runpy
import sys
import time
import warnings

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("script")
parser.add_argument("--on", choices=["pykan", "edgewise"], required=True)
options = parser.parse_args()
with contextlib.redirect_stdout(sys.stderr):
    if options.on == "edgewise":
        from edgewise.compat.pykan import install

        install()
    import torch
    from kan import *

    import kan.LBFGS
    import kan.utils

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # pykan divides by the widths of empty intervals
    gc.collect()  # what the imports left behind is not collected while the clock runs
    wall, cpu = time.perf_counter(), time.process_time()
    names = runpy.run_path(options.script)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps({"final": names["final"], "seconds": wall, "cpu": cpu, "dir": os.listdir(".")}))
