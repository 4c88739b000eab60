"""The built-in models as PyTorch modules, in single precision without noise: what their weights are when torch.nn loads them.

  python torch_models.py FOLDER

FOLDER/cases.json is a list of cases: the model, its parameters, and the numbers of inputs and outputs. Of case i, FOLDER/i.weights.safetensors is loaded, all names and shapes the same, and
what the module makes of FOLDER/trials-INPUTS.safetensors goes to FOLDER/i.results.safetensors. Then weights that PyTorch initialises go to FOLDER/i.torch-weights.safetensors and what the
module makes with these to FOLDER/i.torch-results.safetensors.
"""
import json
import sys
import warnings

import torch
from safetensors.torch import load_file, save_file
from torch import nn

warnings.filterwarnings("ignore", message="Initializing zero-element tensors")


class Field(nn.Module):
    """A neural ordinary differential equation by Euler's method."""

    def __init__(self, inputs, states, width, maps, dt, substeps):
        super().__init__()
        sizes = [states + inputs] + [width] * (maps - 1) + [states]
        layers = []
        for a, b in zip(sizes, sizes[1:]):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.vf_net, self.step, self.substeps = nn.Sequential(*layers[:-1]), dt / substeps, substeps

    def forward(self, x, h):
        for _ in range(self.substeps):
            h = h + self.step * self.vf_net(torch.cat([h, x], 1))
        return h


class LinearStep(nn.Module):
    def __init__(self, inputs, states):
        super().__init__()
        self.linear_ih, self.linear_hh = nn.Linear(inputs, states), nn.Linear(states, states)

    def forward(self, x, h):
        return self.linear_hh(h) + self.linear_ih(x)


class LowRank(nn.Module):
    def __init__(self, inputs, units, rank, gamma, random):
        super().__init__()
        self.m, self.n, self.inp = nn.Linear(rank, units, bias=False), nn.Linear(units, rank, bias=False), nn.Linear(inputs, units, bias=False)
        self.bias, self.gamma = nn.Parameter(torch.randn(units)), gamma
        if random > 0:
            self.register_buffer("chi", torch.randn(units, units) * random / units**0.5)

    def forward(self, x, h):
        f = torch.tanh(h)
        total = self.m(self.n(f)) / h.shape[1] + self.inp(x) + self.bias
        if hasattr(self, "chi"):
            total = total + f @ self.chi.T
        return (1 - self.gamma) * h + self.gamma * total


def cell(kind, inputs, p):
    if kind in ("gru", "noisy-gru", "noisy-gru-latent-l2"):
        return nn.GRUCell(inputs, p["hidden"])
    if kind == "vanilla-rnn":
        return nn.RNNCell(inputs, p["hidden"])
    if kind == "lstm":
        return nn.LSTMCell(inputs, p["hidden"])
    if kind == "low-rank-rnn":
        return LowRank(inputs, p["hidden"], p["rank"], p["gamma"], p["random_strength"])
    if kind == "node":
        return Field(inputs, p["latent"], p["hidden"], p["layers"], p["dt"], p["substeps"])
    if kind == "sae-gru":
        return nn.GRUCell(inputs, p["latent"])
    if kind == "sae-rnn":
        return nn.RNNCell(inputs, p["latent"])
    if kind == "sae-lds":
        return LinearStep(inputs, p["latent"])
    if kind == "sae-node":
        return Field(inputs, p["latent"], p["hidden"], p["hidden_layers"] + 1, p["dt"], p["substeps"])
    raise ValueError(f"{kind}: no module is known")


def unroll(step, h, x):
    """All states (B, T, units). Of an LSTM h is (h, c), one after the other, and the states are h alone."""
    states = []
    for t in range(x.shape[1]):
        if isinstance(step, nn.LSTMCell):
            h = torch.cat(step(x[:, t], h.chunk(2, 1)), 1)
            states.append(h.chunk(2, 1)[0])
        else:
            h = step(x[:, t], h)
            states.append(h)
    return torch.stack(states, 1)


class TaskTrained(nn.Module):
    def __init__(self, kind, inputs, outputs, p):
        super().__init__()
        self.kind, made = kind, cell(kind, inputs, p)
        setattr(self, "generator" if kind == "node" else "cell", made)
        units = p["latent"] if kind == "node" else p["hidden"]
        self.state = 2 * units if kind == "lstm" else units
        if not (kind == "vanilla-rnn" and p["compat"]):
            self.latent_ics = nn.Parameter(torch.randn(self.state))
        self.readout = nn.Linear(units, outputs)

    def forward(self, inputs, encod_data):
        h = self.latent_ics if hasattr(self, "latent_ics") else torch.zeros(self.state)
        states = unroll(self.generator if self.kind == "node" else self.cell, h.expand(inputs.shape[0], -1), inputs)
        return states, self.readout(torch.tanh(states) if self.kind == "low-rank-rnn" else states)


class Leaky(nn.Module):
    """It is read out before each step."""

    def __init__(self, kind, inputs, outputs, p):
        super().__init__()
        units, self.gamma, self.compat = p["hidden"], p["gamma"], p["compat"]
        self.inpW, self.recW, self.bias = nn.Linear(inputs, units, bias=False), nn.Linear(units, units, bias=False), nn.Parameter(torch.randn(units))
        if not self.compat:
            self.latent_ics = nn.Parameter(torch.randn(units))
        self.readout = nn.Linear(units, outputs)

    def forward(self, inputs, encod_data):
        h = torch.zeros(inputs.shape[0], len(self.bias)) if self.compat else self.latent_ics.expand(inputs.shape[0], -1)
        states, outputs = [], []
        for t in range(inputs.shape[1]):
            outputs.append(self.readout(h))
            kept = self.recW(h) if self.compat else h
            h = (1 - self.gamma) * kept + self.gamma * torch.tanh(self.recW(h) + self.inpW(inputs[:, t]) + self.bias)
            states.append(h)
        return torch.stack(states, 1), torch.stack(outputs, 1)


class Autoencoder(nn.Module):
    def __init__(self, kind, inputs, outputs, p):
        super().__init__()
        self.encoder = nn.GRU(p["held_in"], p["encoder_size"], bidirectional=True, batch_first=True)
        self.ic_linear, self.decoder, self.readout = nn.Linear(2 * p["encoder_size"], p["latent"]), nn.Module(), nn.Linear(p["latent"], outputs)
        self.decoder.cell = cell(kind, inputs, p)

    def forward(self, inputs, encod_data):
        final = self.encoder(encod_data)[1]
        states = unroll(self.decoder.cell, self.ic_linear(torch.cat([final[0], final[1]], 1)), inputs)
        return states, self.readout(states)


def module(case):
    kind = Autoencoder if case["model"].startswith("sae-") else Leaky if case["model"] == "leaky-rnn" else TaskTrained
    return kind(case["model"], case["inputs"], case["outputs"], case["params"])


def run(net, trials, file):
    with torch.no_grad():
        latents, outputs = net(trials["inputs"], trials["encod_data"])
    save_file({"latents": latents.contiguous(), "outputs": outputs.contiguous()}, file)


def main(folder):
    torch.manual_seed(1)
    with open(f"{folder}/cases.json") as f:
        cases = json.load(f)
    for i, case in enumerate(cases):
        trials = load_file(f"{folder}/trials-{case['inputs']}.safetensors")
        net = module(case)
        net.load_state_dict(load_file(f"{folder}/{i}.weights.safetensors"), strict=True)
        run(net, trials, f"{folder}/{i}.results.safetensors")
        net = module(case)
        save_file(net.state_dict(), f"{folder}/{i}.torch-weights.safetensors")
        run(net, trials, f"{folder}/{i}.torch-results.safetensors")
    print(torch.__version__)


if __name__ == "__main__":
    main(sys.argv[1])
