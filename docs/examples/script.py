"""An ordinary training script, which knows nothing of orchestrate; `script.yaml` searches, prunes and resumes it."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--width", type=int, default=32)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--checkpoint", type=Path, default=Path("checkpoint.pt"))
options = parser.parse_args()

torch.manual_seed(options.seed)
x = 6 * torch.rand(400, 1, generator=torch.Generator().manual_seed(0)) - 3
y = torch.sin(2 * x)
network = nn.Sequential(nn.Linear(1, options.width), nn.Tanh(), nn.Linear(options.width, 1))
optimizer = torch.optim.Adam(network.parameters(), options.lr)
first_epoch = 1
if options.checkpoint.exists():
    state = torch.load(options.checkpoint)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    first_epoch = state["epoch"] + 1

for epoch in range(first_epoch, options.epochs + 1):
    for batch in torch.randperm(300).split(50):
        loss = (network(x[batch]) - y[batch]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        error = (network(x[300:]) - y[300:]).square().mean()
    # First the checkpoint, then the line: whoever reads the line knows that the epoch is saved.
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**state, "epoch": epoch, "random": torch.get_rng_state()}, options.checkpoint)
    print(f"epoch {epoch}: train_loss={loss.item():.6f} val_loss={error.item():.6f}", flush=True)
