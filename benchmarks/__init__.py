"""Studies of accuracy and speed: `make bench` runs them and writes their results into the docs."""

import torch

torch.set_num_threads(1)  # on a machine that others use, a second thread makes times jump
