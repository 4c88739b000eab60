"""One training step of a GRU in PyTorch, timed: the peer of BenchmarkTrainStep.

A step is forward over the whole sequence, linear readout, mean squared error over every bin, backward, clip of the gradient's norm at 1, Adam; float32.
"fused" is torch.nn.GRU, "loop" a torch.nn.GRUCell called once a bin, as research code writes it. Prints one JSON line with the median milliseconds of each.

    python torch_step.py BATCH BINS INPUTS UNITS THREADS
"""
import json
import os
import statistics
import sys
import time

# glibc is told to keep what is freed: page faults would cost the peer up to half of its time on a virtual machine.
TUNED = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
if os.environ.get("MALLOC_MMAP_MAX_") != "0":
    os.environ.update(TUNED)
    os.execv(sys.executable, [sys.executable] + sys.argv)
B, T, I, H, threads = map(int, sys.argv[1:6])
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)

import torch
from torch import nn

torch.set_num_threads(threads)
torch.manual_seed(0)
x, y = torch.randn(B, T, I), torch.randn(B, T, 3)


class Loop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(I, H)

    def forward(self, x):
        h = x.new_zeros(B, H)
        states = []
        for t in range(T):
            h = self.cell(x[:, t], h)
            states.append(h)
        return torch.stack(states, 1)


class Fused(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(I, H, batch_first=True)

    def forward(self, x):
        return self.gru(x)[0]


def measure(core):
    readout = nn.Linear(H, 3)
    parameters = [*core.parameters(), *readout.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=1e-3)

    def step():
        optimiser.zero_grad()
        nn.functional.mse_loss(readout(core(x)), y).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()

    step()
    step()
    times = []
    for _ in range(7):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return round(1e3 * statistics.median(times), 2)


print(json.dumps({"torch": torch.__version__, "fused": measure(Fused()), "loop": measure(Loop())}))
