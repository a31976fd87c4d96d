"""Muon: momentum whose step is made orthogonal, for the hidden weight matrices (K. Jordan and others, 2024)."""

from __future__ import annotations

from collections import defaultdict

import torch

# Coefficients of the quintic Newton-Schulz iteration of the Muon write-up: they raise small singular values fastest.
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonalise(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """(N, rows, columns) -> the same shape with every singular value near 1 (about 0.7 to 1.2), same singular vectors."""
    x = matrices.bfloat16() if matrices.is_cuda else matrices.float()
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, with decoupled weight decay. Matrices of one shape are batched."""

    def __init__(self, parameters, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for shape, parameters in by_shape.items():
                updates = []
                for parameter in parameters:
                    velocity = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                    velocity.lerp_(parameter.grad, 1 - group["momentum"])
                    updates.append(parameter.grad.lerp(velocity, group["momentum"]))
                stacked = orthogonalise(torch.stack(updates).flatten(0, -3))  # experts are stacks of matrices
                scale = max(1.0, shape[-2] / shape[-1]) ** 0.5
                for parameter, update in zip(parameters, stacked.view(len(parameters), *shape), strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update, alpha=-group["lr"] * scale)


def optimisers(model, muon_lr: float, adamw_lr: float, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for embeddings, norms and routers."""
    hidden, rest = [], []
    for name, parameter in model.named_parameters():
        matrix = parameter.ndim >= 2 and "embed" not in name and "lm_head" not in name and "gate.weight" not in name
        (hidden if matrix else rest).append(parameter)
    made = [
        Muon(hidden, lr=muon_lr, weight_decay=weight_decay),
        torch.optim.AdamW(rest, lr=adamw_lr, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0),
    ]
    for optimiser in made:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return made
