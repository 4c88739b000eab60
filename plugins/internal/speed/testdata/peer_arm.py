"""MotorNet's time for a training step in closed loop, of a GRU that moves its arm of six muscles. Prints one JSON line.

    python peer_arm.py -B 256 -T 300 -H 128 --threads 2

A step: in each bin the hand's place out of a buffer of 5 bins, lengths and velocities of the muscles out of one of 2, the target's place and a go cue go into nn.GRUCell, a
linear readout excites the muscles, and the arm takes a step of 10 ms; then the mean squared distance from the goal and the mean squared excitation over every bin, backward through cell and
arm, clip at 1, Adam. The effector is called itself, without an environment; there is no noise and nothing pushes the hand.
"""
import argparse
import json
import os
import sys

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("--batch", "-B", type=int, default=256)
p.add_argument("--bins", "-T", type=int, default=300)
p.add_argument("--hidden", "-H", type=int, default=128)
p.add_argument("--threads", type=int, default=os.cpu_count())
p.add_argument("--tuned-malloc", action="store_true", help="have glibc keep what is freed: page faults cost up to half of the time on a virtual machine")
p.add_argument("--reps", type=int, default=15)
p.add_argument("--budget", type=float, default=20.0, help="seconds; three steps are timed at least")
A = p.parse_args()
if A.bins < 20:
    p.error("--bins: at least 20, the target appears in bin 10")
TUNED = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
if A.tuned_malloc and os.environ.get("MALLOC_MMAP_MAX_") != "0":
    os.environ.update(TUNED)
    os.execv(sys.executable, [sys.executable] + sys.argv)
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(A.threads)

import importlib.metadata
import math
import resource
import statistics
import time

import torch
from torch import nn
from motornet.effector import RigidTendonArm26
from motornet.muscle import MujocoHillMuscle

torch.set_num_threads(A.threads)
torch.manual_seed(0)
B, T = A.batch, A.bins
SEEN, FELT, ON, GO = 5, 2, 10, T // 2  # sizes of the buffers, and when the target appears and the go cue comes, in bins

arm = RigidTendonArm26(muscle=MujocoHillMuscle(), timestep=0.01)
cell, out = nn.GRUCell(2 + 12 + 3, A.hidden), nn.Linear(A.hidden, 6)
params = [*cell.parameters(), *out.parameters()]
optimiser = torch.optim.Adam(params, lr=1e-3)
start, end = (math.radians(30) + torch.rand(B, 2) * torch.tensor([math.radians(75), math.radians(95)]) for _ in range(2))
place = lambda joints: arm.joint2cartesian(torch.cat([joints, torch.zeros(B, 2)], 1))[:, :2]
home, target = place(start), place(end)
shown = torch.cat([target, torch.zeros(B, 1)], 1)
cues = [torch.zeros(B, 3)] * ON + [shown] * (GO - ON) + [torch.tensor([0.0, 0.0, 0.15]).expand(B, 3)] * (T - GO)
goal = torch.stack([home] * GO + [target] * (T - GO))
length, velocity = (torch.as_tensor(v).reshape(1, -1) for v in (arm.muscle.l0_ce, arm.muscle.vmax))


def felt():
    muscles = arm.states["muscle"]
    return torch.cat([muscles[:, 1] / length, muscles[:, 2] / velocity], 1)


def step():
    optimiser.zero_grad()
    arm.reset(options={"batch_size": B, "joint_state": start})
    hand, muscles = [arm.states["fingertip"]] * SEEN, [felt()] * FELT
    h, actions = torch.zeros(B, A.hidden), []
    for cue in cues:
        h = cell(torch.cat([hand[-SEEN], muscles[-FELT], cue], 1), h)
        actions.append(out(h))
        arm.step(actions[-1])
        hand.append(arm.states["fingertip"])
        muscles.append(felt())
    loss = (torch.stack(hand[SEEN:]) - goal).square().mean() + torch.stack(actions).square().mean()
    loss.backward()
    nn.utils.clip_grad_norm_(params, 1.0)
    optimiser.step()


def stolen():
    try:
        with open("/proc/stat") as f:
            return int(f.readline().split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0


def measure():
    step()
    step()
    times, wall, before, taken = [], time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF), stolen()
    while len(times) < A.reps and (len(times) < 3 or time.perf_counter() - wall < A.budget):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
    return dict(median_ms=1e3 * statistics.median(times), min_ms=1e3 * min(times), n=len(times),
                cpu_per_wall=dict(user=(after.ru_utime - before.ru_utime) / wall, sys=(after.ru_stime - before.ru_stime) / wall, steal=(stolen() - taken) / wall))


result = dict(peer="motornet", version=importlib.metadata.version("motornet"), threads=A.threads, tuned_malloc=A.tuned_malloc, train=measure())
result["peak_rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(json.dumps(result), flush=True)
