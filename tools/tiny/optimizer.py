"""Muon (momentum made orthogonal by Newton-Schulz steps) for matrices inside the network, AdamW for everything else."""

import torch


def orthogonal(g: torch.Tensor) -> torch.Tensor:
    """Approximate UV^T of each matrix in the stack [n, rows, columns]; Keller Jordan's quintic iteration, 5 steps."""
    x = g.bfloat16() if g.is_cuda else g
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
    return x.transpose(1, 2) if tall else x


def is_inner_matrix(name: str, value: torch.Tensor) -> bool:
    return value.dim() == 2 and "embed" not in name and not name.startswith("aux")


class MuonAndAdam:
    """Both optimizers behind one step(); matrices of one shape are updated together."""

    def __init__(self, params: dict, muon_lr: float, adam_lr: float, decay: float = 0.05, momentum: float = 0.95):
        self.muon_lr, self.adam_lr, self.decay, self.momentum = muon_lr, adam_lr, decay, momentum
        self.groups = {}
        for name, value in params.items():
            if is_inner_matrix(name, value):
                self.groups.setdefault(tuple(value.shape), []).append(value)
        self.velocity = {s: torch.zeros(len(v), *s, device=v[0].device) for s, v in self.groups.items()}
        rest = [v for k, v in params.items() if not is_inner_matrix(k, v)]
        self.adam = torch.optim.AdamW(rest, lr=adam_lr, betas=(0.9, 0.95), weight_decay=0.0, fused=rest[0].is_cuda)
        self.everything = list(params.values())

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Update with both learning rates multiplied by factor, and drop the gradients."""
        for group in self.adam.param_groups:
            group["lr"] = self.adam_lr * factor
        self.adam.step()
        lr = self.muon_lr * factor
        for shape, values in self.groups.items():
            gradient = torch.stack([v.grad for v in values])
            velocity = self.velocity[shape].lerp_(gradient, 1 - self.momentum)
            update = orthogonal(gradient.lerp(velocity, self.momentum)).float() * max(1.0, shape[0] / shape[1]) ** 0.5
            torch._foreach_mul_(values, 1 - lr * self.decay)
            torch._foreach_add_(values, list(update.unbind(0)), alpha=-lr)
        for value in self.everything:
            value.grad = None
