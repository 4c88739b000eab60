"""JAX's time for the training steps that ours are compared with: lax.scan over the bins, the whole step compiled. Prints one JSON line.

Steps and arguments are those of peer_torch.py. The better of --unroll bins at a time is reported, as scan.
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
p.add_argument("--unroll", default="1,5")
p.add_argument("--tuned-malloc", action="store_true", help="have glibc keep what is freed: page faults cost up to half of the time on a virtual machine")
p.add_argument("--reps", type=int, default=15)
p.add_argument("--budget", type=float, default=20.0, help="seconds for each; three steps are timed at least")
A = p.parse_args()
TUNED = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
if A.tuned_malloc and os.environ.get("MALLOC_MMAP_MAX_") != "0":
    os.environ.update(TUNED)
    os.execv(sys.executable, [sys.executable] + sys.argv)
# XLA has as many threads as the process may use processors.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[-A.threads:]))
if A.threads == 1:
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import resource
import statistics
import time

import numpy as np
import jax
import jax.numpy as jnp

SAE, KIND = A.cell.startswith("sae-"), {"epoch": "gru"}.get(A.cell, A.cell.removeprefix("sae-"))
T, I = A.bins, A.inputs
B = A.batch or (250 if SAE else 256)
H = A.hidden or {"sae-gru": 128, "sae-node": 10, "node": 3}.get(A.cell, 64)
O = A.outputs or (60 if SAE else 3)
LAYERS = A.layers or (7 if SAE else 3)
random = np.random.default_rng(0)


def uniform(*shape, fan):
    return jnp.asarray(random.uniform(-1, 1, shape) / np.sqrt(fan), jnp.float32)


def normal(*shape):
    return jnp.asarray(random.standard_normal(shape), jnp.float32)


def linear(inputs, outputs):
    return uniform(inputs, outputs, fan=inputs), uniform(outputs, fan=inputs)


def cell_params(kind, inputs, units):
    if kind == "node":
        sizes = [units + inputs] + [A.width] * (LAYERS - 1) + [units]
        return [linear(a, b) for a, b in zip(sizes, sizes[1:])]
    g = dict(gru=3, rnn=1, lstm=4)[kind] * units
    return dict(wi=uniform(inputs, g, fan=units), bi=uniform(g, fan=units), wh=uniform(units, g, fan=units), bh=uniform(g, fan=units))


def cell(kind, c, state, x):
    """The next state, a tuple whose first element is what is read out."""
    h = state[0]
    if kind == "node":
        a = jnp.concatenate([h, x], 1)
        for l, (w, b) in enumerate(c):
            a = a @ w + b
            a = jax.nn.relu(a) if l < LAYERS - 1 else a
        return (h + 0.1 * a,)
    i, r = x @ c["wi"] + c["bi"], h @ c["wh"] + c["bh"]
    if kind == "rnn":
        return (jnp.tanh(i + r),)
    if kind == "gru":
        ir, iz, candidate = jnp.split(i, 3, 1)
        hr, hz, hn = jnp.split(r, 3, 1)
        z = jax.nn.sigmoid(iz + hz)
        n = jnp.tanh(candidate + jax.nn.sigmoid(ir + hr) * hn)
        return (n + z * (h - n),)
    i, f, g, o = jnp.split(i + r, 4, 1)
    s = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(s), s


def run(kind, c, x, h, unroll, keep=True, reverse=False, noise=None):
    """The states of every bin of time-major inputs, or the last one alone. noise is a key: the state is perturbed after each step."""
    def body(carry, bin):
        state, t = carry
        state = cell(kind, c, state, bin)
        clean = state[0]
        if noise is not None:
            state = (clean + 0.01 * jax.random.normal(jax.random.fold_in(noise, t), clean.shape),)
        return (state, t + 1), clean if keep else None

    start = (h, jnp.zeros_like(h)) if kind == "lstm" else (h,)
    (last, _), states = jax.lax.scan(body, (start, 0), x, unroll=unroll, reverse=reverse)
    return states if keep else last[0]


def encode(ps, x, units, unroll):
    h = jnp.zeros((x.shape[1], units), jnp.float32)
    return jnp.concatenate([run(KIND if A.bidirectional else "gru", c, x, h, unroll, False, back) for c, back in zip(ps, (False, True))], 1)


def read(ps, states):
    return states @ ps[0] + ps[1]


def sequence(unroll):
    """Parameters, data, and the loss of both."""
    if A.bidirectional:
        ps = dict(cells=[cell_params(KIND, I, H) for _ in range(2)], out=linear(2 * H, O))
        return ps, (normal(T, B, I), normal(B, O)), lambda ps, x, y, key: jnp.mean((read(ps["out"], encode(ps["cells"], x, H, unroll)) - y) ** 2)
    ps = dict(cell=cell_params(KIND, I, H), out=linear(H, O))
    zero = jnp.zeros((B, H), jnp.float32)
    return ps, (normal(T, B, I), normal(T, B, O)), lambda ps, x, y, key: jnp.mean((read(ps["out"], run(KIND, ps["cell"], x, zero, unroll)) - y) ** 2)


def sae(unroll):
    ps = dict(cells=[cell_params("gru", A.held_in, A.encoder) for _ in range(2)], init=linear(2 * A.encoder, H), cell=cell_params(KIND, I, H), out=linear(H, O))

    def loss(ps, u, counts, key):
        h = read(ps["init"], encode(ps["cells"], counts[:, :, :A.held_in], A.encoder, unroll))
        rates = read(ps["out"], run(KIND, ps["cell"], u, h, unroll))
        return jnp.mean(jnp.exp(rates) - counts * rates)

    return ps, (normal(T, B, I), jnp.asarray(random.poisson(0.1, (T, B, O)), jnp.float32)), loss


def epoch(unroll):
    ps = dict(cell=cell_params("gru", I, H), out=linear(H, O), start=jnp.zeros(H, jnp.float32))

    def loss(ps, x, y, key):
        first, noise = jax.random.split(key)
        h = ps["start"] + 0.05 * jax.random.normal(first, (x.shape[1], H))
        return jnp.mean((read(ps["out"], run("gru", ps["cell"], x, h, unroll, noise=noise)) - y) ** 2)

    return ps, (normal(T, A.trials, I), normal(T, A.trials, O), normal(T, A.valid, I), normal(T, A.valid, O)), loss


def trainer(loss, clip):
    def step(state, x, y, key):
        ps, m, v, k = state
        l, g = jax.value_and_grad(loss)(ps, x, y, key)
        norm = jnp.sqrt(sum(jnp.sum(a * a) for a in jax.tree.leaves(g)))
        g = jax.tree.map(lambda a: a * jnp.minimum(1.0, clip / (norm + 1e-6)), g)
        k = k + 1
        m = jax.tree.map(lambda a, b: .9 * a + .1 * b, m, g)
        v = jax.tree.map(lambda a, b: .999 * a + .001 * b * b, v, g)
        ps = jax.tree.map(lambda w, a, b: w - 1e-3 * (a / (1 - .9 ** k)) / (jnp.sqrt(b / (1 - .999 ** k)) + 1e-8), ps, m, v)
        return (ps, m, v, k), l

    return jax.jit(step, donate_argnums=0)


def stolen():
    try:
        with open("/proc/stat") as f:
            return int(f.readline().split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0


def measure(unroll):
    ps, data, loss = (sae if SAE else epoch if A.cell == "epoch" else sequence)(unroll)
    train, evaluate = trainer(loss, 0.01 if SAE else 1.0), jax.jit(loss)
    zeros = lambda: jax.tree.map(jnp.zeros_like, ps)
    state = (ps, zeros(), zeros(), jnp.float32(0))
    # Philox: JAX's default generator is several times slower on a CPU.
    key = jax.random.key(0, impl="rbg")

    def step(n):
        nonlocal state
        at = jax.random.fold_in(key, n)
        if A.cell != "epoch":
            state, l = train(state, *data, at)
            return jax.block_until_ready((state, l))
        x, y, vx, vy = data
        order = random.permutation(A.trials)
        for i in range(0, A.trials, B):
            rows = order[i:i + B]
            state, l = train(state, x[:, rows], y[:, rows], jax.random.fold_in(at, i))
        losses = [evaluate(state[0], vx[:, i:i + B], vy[:, i:i + B], key) for i in range(0, A.valid, B)]
        return jax.block_until_ready((state, losses))

    step(0)
    step(1)
    times, wall, before, taken = [], time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF), stolen()
    while len(times) < A.reps and (len(times) < 3 or time.perf_counter() - wall < A.budget):
        start = time.perf_counter()
        step(2 + len(times))
        times.append(time.perf_counter() - start)
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
    return dict(median_ms=1e3 * statistics.median(times), min_ms=1e3 * min(times), n=len(times), unroll=unroll,
                cpu_per_wall=dict(user=(after.ru_utime - before.ru_utime) / wall, sys=(after.ru_stime - before.ru_stime) / wall, steal=(stolen() - taken) / wall))


runs = [measure(int(u)) for u in A.unroll.split(",")]
print(json.dumps(dict(peer="jax", version=jax.__version__, cell=A.cell, threads=A.threads, tuned_malloc=A.tuned_malloc, scan=min(runs, key=lambda r: r["median_ms"]),
                      variants=runs, peak_rss_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))), flush=True)
