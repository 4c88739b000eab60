"""PyTorch's time for the training steps that ours are compared with. Prints one JSON line: milliseconds by implementation.

    python peer_torch.py gru -B 256 -T 500 -I 3 -H 64 --threads 2
    python peer_torch.py gru -B 250 -T 500 -I 50 -H 100 -O 128 --bidirectional --threads 2
    python peer_torch.py sae-gru --threads 2

gru, lstm, rnn (tanh) and node (h + 0.1 f([h, x]), f of --layers linear maps that are --width wide): forward, linear readout, mean squared error over every bin,
backward, clip at 1, Adam. With --bidirectional an encoder: both directions, readout and error of the two final states.
sae-gru, sae-node: counts -> bidirectional GRU -> final states -> linear -> initial state -> decoder over given inputs -> log-rates -> Poisson likelihood, clip at 0.01.
epoch: one epoch of a GRU whose state is perturbed after each step, over --trials trials in batches of -B, and the loss of --valid trials without gradients.

Implementations: fused is nn.GRU, nn.RNN or nn.LSTM, the faster of time-major and batch-first; loop is a cell called once a bin; mixed is a fused encoder and a decoder in a loop.
"""
import argparse
import json
import os
import sys

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("cell", choices=["gru", "rnn", "lstm", "node", "sae-gru", "sae-node", "epoch"])
p.add_argument("--batch", "-B", type=int)
p.add_argument("--bins", "-T", type=int, default=500)
p.add_argument("--inputs", "-I", type=int, default=3)
p.add_argument("--hidden", "-H", type=int)
p.add_argument("--outputs", "-O", type=int)
p.add_argument("--layers", type=int)
p.add_argument("--width", type=int, default=128)
p.add_argument("--bidirectional", action="store_true")
p.add_argument("--held-in", type=int, default=50)
p.add_argument("--encoder", type=int, default=100)
p.add_argument("--trials", type=int, default=800)
p.add_argument("--valid", type=int, default=200)
p.add_argument("--threads", type=int, default=os.cpu_count())
p.add_argument("--impl", default="fused,mixed,loop")
p.add_argument("--tuned-malloc", action="store_true", help="have glibc keep what is freed: page faults cost up to half of the time on a virtual machine")
p.add_argument("--reps", type=int, default=15)
p.add_argument("--budget", type=float, default=20.0, help="seconds for each implementation; three steps are timed at least")
A = p.parse_args()
TUNED = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
if A.tuned_malloc and os.environ.get("MALLOC_MMAP_MAX_") != "0":
    os.environ.update(TUNED)
    os.execv(sys.executable, [sys.executable] + sys.argv)
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(A.threads)

import resource
import statistics
import time

import torch
from torch import nn
import torch.nn.functional as F

torch.set_num_threads(A.threads)
torch.manual_seed(0)
SAE, KIND = A.cell.startswith("sae-"), A.cell.removeprefix("sae-")
T, I = A.bins, A.inputs
B = A.batch or (250 if SAE else 256)
H = A.hidden or {"sae-gru": 128, "sae-node": 10, "node": 3}.get(A.cell, 64)
O = A.outputs or (60 if SAE else 3)
LAYERS = A.layers or (7 if SAE else 3)


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        sizes = [H + I] + [A.width] * (LAYERS - 1) + [H]
        maps = []
        for a, b in zip(sizes, sizes[1:]):
            maps += [nn.Linear(a, b), nn.ReLU()]
        self.f = nn.Sequential(*maps[:-1])

    def forward(self, x, h):
        return h + 0.1 * self.f(torch.cat([h, x], 1))


def fused_of(kind, inputs, units, **more):
    return {"gru": nn.GRU, "rnn": nn.RNN, "lstm": nn.LSTM}[kind](inputs, units, **more)


def cell_of(kind, inputs, units):
    return Field() if kind == "node" else {"gru": nn.GRUCell, "rnn": nn.RNNCell, "lstm": nn.LSTMCell}[kind](inputs, units)


def loop(cell, x, h, keep=True):
    """The states of every bin of time-major inputs, or the last one alone."""
    states, c = [], torch.zeros_like(h)
    for bin in x:
        if isinstance(cell, nn.LSTMCell):
            h, c = cell(bin, (h, c))
        else:
            h = cell(bin, h)
        if keep:
            states.append(h)
    return torch.stack(states) if keep else h


def stepper(params, loss, clip):
    optimiser = torch.optim.Adam(params, lr=1e-3)

    def step():
        optimiser.zero_grad()
        loss().backward()
        nn.utils.clip_grad_norm_(params, clip)
        optimiser.step()

    return step


def parameters(*modules):
    return [q for m in modules for q in m.parameters()]


def encoder(impl, inputs, units, batch_first):
    """Modules, and the function from inputs to both final states, (B, 2 units)."""
    if impl == "loop":
        cells = [cell_of("gru", inputs, units) for _ in range(2)]
        return cells, lambda x: torch.cat([loop(c, y, y.new_zeros(B, units), False) for c, y in zip(cells, (x, x.flip(0)))], 1)
    gru = nn.GRU(inputs, units, bidirectional=True, batch_first=batch_first)
    return [gru], lambda x: torch.cat(list(gru(x)[1]), 1)


def sequence_step(impl, batch_first):
    shape = (lambda n: (B, T, n)) if batch_first else (lambda n: (T, B, n))
    x, out = torch.randn(shape(I)), nn.Linear((2 if A.bidirectional else 1) * H, O)
    if A.bidirectional:
        y = torch.randn(B, O)
        modules, run = encoder(impl, I, H, batch_first)
    else:
        y = torch.randn(shape(O))
        if impl == "loop":
            modules = [cell_of(KIND, I, H)]
            run = lambda x: loop(modules[0], x, x.new_zeros(B, H))
        else:
            modules = [fused_of(KIND, I, H, batch_first=batch_first)]
            run = lambda x: modules[0](x)[0]
    return stepper(parameters(out, *modules), lambda: F.mse_loss(out(run(x)), y), 1.0)


def sae_step(impl, batch_first):
    lay = (lambda a: a.transpose(0, 1).contiguous()) if batch_first else (lambda a: a)
    u, counts = lay(torch.randn(T, B, I)), lay(torch.poisson(torch.full((T, B, O), 0.1)))
    seen = counts[:, :, :A.held_in].contiguous()
    init, out = nn.Linear(2 * A.encoder, H), nn.Linear(H, O)
    modules, encode = encoder(impl, A.held_in, A.encoder, batch_first)
    if impl == "fused":
        decoder = fused_of(KIND, I, H, batch_first=batch_first)
        decode = lambda h: decoder(u, h[None])[0]
    else:
        decoder = cell_of(KIND, I, H)
        decode = lambda h: loop(decoder, u, h)
    return stepper(parameters(init, out, decoder, *modules), lambda: F.poisson_nll_loss(out(decode(init(encode(seen)))), counts), 0.01)


def epoch_step(impl, batch_first):
    x, y = torch.randn(T, A.trials, I), torch.randn(T, A.trials, O)
    vx, vy = torch.randn(T, A.valid, I), torch.randn(T, A.valid, O)
    cell, out, start = nn.GRUCell(I, H), nn.Linear(H, O), nn.Parameter(torch.zeros(H))
    params = parameters(cell, out) + [start]
    optimiser = torch.optim.Adam(params, lr=1e-3, weight_decay=1e-8)

    def loss(x, y):
        h = start + 0.05 * torch.randn(x.shape[1], H)
        states = []
        for bin in x:
            h = cell(bin, h)
            states.append(h)
            h = h + 0.01 * torch.randn_like(h)
        return F.mse_loss(out(torch.stack(states)), y)

    def step():
        for rows in torch.randperm(A.trials).split(B):
            optimiser.zero_grad()
            loss(x[:, rows], y[:, rows]).backward()
            nn.utils.clip_grad_norm_(params, 1.0)
            optimiser.step()
        with torch.no_grad():
            for at in range(0, A.valid, B):
                loss(vx[:, at:at + B], vy[:, at:at + B])

    return step


def stolen():
    try:
        with open("/proc/stat") as f:
            return int(f.readline().split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0


def measure(step):
    step()
    step()
    times, wall, before, taken = [], time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF), stolen()
    while len(times) < A.reps and (len(times) < 3 or time.perf_counter() - wall < A.budget):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
    return dict(median_ms=1e3 * statistics.median(times), min_ms=1e3 * min(times), n=len(times),
                cpu_per_wall=dict(user=(after.ru_utime - before.ru_utime) / wall, sys=(after.ru_stime - before.ru_stime) / wall, steal=(stolen() - taken) / wall))


def implementations():
    make = sae_step if SAE else epoch_step if A.cell == "epoch" else sequence_step
    known = ["loop"] if A.cell in ("node", "epoch") else ["mixed", "loop"] if A.cell == "sae-node" else ["fused", "mixed", "loop"] if SAE else ["fused", "loop"]
    for impl in A.impl.split(","):
        if impl in known:
            layouts = (False, True) if impl == "fused" else (False,)
            yield impl, min((measure(make(impl, layout)) for layout in layouts), key=lambda r: r["median_ms"])


result = dict(peer="torch", version=torch.__version__, cell=A.cell, threads=A.threads, tuned_malloc=A.tuned_malloc)
result.update(implementations())
result["peak_rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(json.dumps(result), flush=True)
