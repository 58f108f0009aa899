"""MLX's affine group quantization, repeated in PyTorch: what the converter will make of a weight, while training."""

import torch

import config


def is_quantized(name: str) -> bool:
    """The converter quantizes the language model's matrices, the embedding included, and leaves the vision tower."""
    return name.startswith("model.language_model.") and name.endswith("weight") and "norm" not in name


def affine(groups: torch.Tensor, bits: int = config.QUANT_BITS) -> torch.Tensor:
    """Round trip of rows [n, group] through mlx.core.quantize with bfloat16 scales and biases."""
    levels = 2**bits - 1
    low, high = groups.amin(1, keepdim=True), groups.amax(1, keepdim=True)
    scale = ((high - low) / levels).clamp(min=1e-7)
    from_low = low.abs() > high.abs()
    scale = torch.where(from_low, scale, -scale)
    edge = torch.where(from_low, low, high)
    zero = (edge / scale).round()
    scale = torch.where(zero != 0, edge / torch.where(zero != 0, zero, 1.0), scale)
    bias = torch.where(zero != 0, edge, torch.zeros_like(edge))
    scale, bias = scale.bfloat16().float(), bias.bfloat16().float()
    return ((groups - bias) / scale).round().clamp(0, levels) * scale + bias


class QuantizedCopies:
    """Quantized copies of all matrices that the converter will quantize; gradients pass straight through."""

    def __init__(self, params: dict, compiled: bool = False):
        self.names = [k for k in params if is_quantized(k)]
        self.round = torch.compile(affine, dynamic=False) if compiled else affine

    def __call__(self, params: dict) -> dict:
        flat = torch.cat([params[k].detach().reshape(-1, config.QUANT_GROUP) for k in self.names])
        error = self.round(flat.bfloat16().float()) - flat
        out, at = dict(params), 0
        for k in self.names:
            n = params[k].numel() // config.QUANT_GROUP
            out[k] = params[k] + error[at:at + n].view(params[k].shape)
            at += n
        return out
