"""The training loop: AdamW, one cycle of the learning rate, the best weights on the development text."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.measure import windows

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM


@dataclass(frozen=True, slots=True)
class Schedule:
    """How to train. Training ends after `steps`, or when `patience` looks in a row brought nothing better.

    The text is small and read some thirty times over, hence the strong weight decay and the dropout.
    """

    steps: int = 1600
    batch: int = 8
    window: int = 256
    rate: float = 3e-3
    decay: float = 1.5
    dropout: float = 0.2
    look_every: int = 100
    patience: int = 5
    seed: int = 20
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run came to: steps taken, the step whose weights were kept, CPU and wall time in seconds."""

    steps: int
    best_step: int
    development_perplexity: float
    cpu_seconds: float
    wall_seconds: float


def train(
    network: LlamaForCausalLM,
    texts: Sequence[Sequence[int]],
    development: Sequence[Sequence[int]],
    schedule: Schedule,
    progress: Callable[[str], None],
) -> Trained:
    """Train `network` in place on token ids; windows of `schedule.window` start at random places of all texts."""
    import torch

    stream = torch.tensor([token for text in texts for token in text])
    optimizer = torch.optim.AdamW(_groups(network, schedule.decay), lr=schedule.rate, betas=(0.9, 0.95))
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, schedule.rate, schedule.steps, pct_start=0.1)
    best, best_step, best_weights, step = math.inf, 0, network.state_dict(), 0
    wall, cpu = time.monotonic(), time.process_time()
    for step in range(1, schedule.steps + 1):
        loss = _step(network, stream, schedule, optimizer)
        cycle.step()
        if step % schedule.look_every and step != schedule.steps:
            continue
        found = mean_loss(network, development)
        progress(f"step {step}: loss {loss:.3f}, development {found:.3f}, {time.monotonic() - wall:.0f} s")
        if found < best:
            best, best_step, best_weights = found, step, copy.deepcopy(network.state_dict())
        elif step - best_step >= schedule.patience * schedule.look_every:
            break
    network.load_state_dict(best_weights)
    return Trained(step, best_step, math.exp(best), time.process_time() - cpu, time.monotonic() - wall)


def mean_loss(network: LlamaForCausalLM, texts: Sequence[Sequence[int]]) -> float:
    """Mean negative log-likelihood in nats of each token but the first of a text, or of a window of a long text."""
    import torch

    context = network.config.max_position_embeddings
    network.eval()
    total, count = 0.0, 0
    with torch.inference_mode():
        for text in texts:
            for window in windows(text, context):
                ids = torch.tensor([window])
                total += float(network(input_ids=ids, labels=ids).loss) * (len(window) - 1)
                count += len(window) - 1
    network.train()
    return total / count


def _step(
    network: LlamaForCausalLM, stream: torch.Tensor, schedule: Schedule, optimizer: torch.optim.Optimizer
) -> float:
    import torch

    starts = torch.randint(len(stream) - schedule.window, (schedule.batch,))
    ids = torch.stack([stream[start : start + schedule.window] for start in starts])
    loss = network(input_ids=ids, labels=ids).loss
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def _groups(network: LlamaForCausalLM, decay: float) -> list[dict[str, object]]:
    """Matrices decay; gains of the norms do not."""
    matrices = [weight for weight in network.parameters() if weight.dim() > 1]
    gains = [weight for weight in network.parameters() if weight.dim() == 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": gains, "weight_decay": 0.0}]
