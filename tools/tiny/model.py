"""Qwen2.5-VL in plain PyTorch over packed batches, under Hugging Face's parameter names.

All images of a step lie behind one another in one patch axis, all conversations in one token axis; cumulative lengths say
where each begins. Shapes never change from step to step, so every block compiles once. Training only: no KV cache.
Checked against transformers by check_parity.py.
"""

import math

import torch
import torch.nn.functional as F

import config

VIS = "model.visual."
LM = "model.language_model."


def init_parameters(classes: int, vision=config.VISION, text=config.TEXT, vocab=config.VOCAB, seed=0) -> dict:
    """Fresh float32 parameters on the CPU, {name: tensor}; aux.* is the training-only patch classifier."""
    rng = torch.Generator().manual_seed(seed)
    params = {}

    def matrix(name, out, inp, scale=1.0):
        params[name] = torch.randn(out, inp, generator=rng) * (0.6 * scale / math.sqrt(inp))

    def linear(name, out, inp, scale=1.0, bias=True):
        matrix(name + ".weight", out, inp, scale)
        if bias:
            params[name + ".bias"] = torch.zeros(out)

    h, inter = vision["hidden"], vision["inter"]
    shrink = 1 / math.sqrt(2 * vision["depth"])
    matrix(VIS + "patch_embed.weight", h, config.PATCH_VALUES)
    for i in range(vision["depth"]):
        block = f"{VIS}blocks.{i}."
        params[block + "norm1.weight"] = torch.ones(h)
        params[block + "norm2.weight"] = torch.ones(h)
        linear(block + "attn.qkv", 3 * h, h)
        linear(block + "attn.proj", h, h, shrink)
        linear(block + "mlp.gate_proj", inter, h)
        linear(block + "mlp.up_proj", inter, h)
        linear(block + "mlp.down_proj", h, inter, shrink)
    merged = h * config.MERGE**2
    params[VIS + "merger.ln_q.weight"] = torch.ones(h)
    linear(VIS + "merger.mlp.0", merged, merged)
    linear(VIS + "merger.mlp.2", text["hidden"], merged)

    h, inter = text["hidden"], text["inter"]
    q, kv = text["heads"] * text["head_dim"], text["kv_heads"] * text["head_dim"]
    shrink = 1 / math.sqrt(2 * text["layers"])
    params[LM + "embed_tokens.weight"] = torch.randn(vocab, h, generator=rng) * 0.03
    for i in range(text["layers"]):
        layer = f"{LM}layers.{i}."
        params[layer + "input_layernorm.weight"] = torch.ones(h)
        params[layer + "post_attention_layernorm.weight"] = torch.ones(h)
        linear(layer + "self_attn.q_proj", q, h)
        linear(layer + "self_attn.k_proj", kv, h)
        linear(layer + "self_attn.v_proj", kv, h)
        linear(layer + "self_attn.o_proj", h, q, shrink, bias=False)
        linear(layer + "mlp.gate_proj", inter, h, bias=False)
        linear(layer + "mlp.up_proj", inter, h, bias=False)
        linear(layer + "mlp.down_proj", h, inter, shrink, bias=False)
    params[LM + "norm.weight"] = torch.ones(h)
    linear("aux", classes, vision["hidden"])
    return params


def rms_norm(x, weight, eps=1e-6):
    y = x.float()
    return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + eps) * weight).to(x.dtype)


def rotate(x, cos, sin):
    """x [n, heads, d], cos and sin [n, 1, d] float32; the halves rotate against each other."""
    y = x.float()
    half = y.shape[-1] // 2
    turned = torch.cat((-y[..., half:], y[..., :half]), -1)
    return (y * cos + turned * sin).to(x.dtype)


def dense(x, weight, bias=None):
    return F.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))


def attend(q, k, v, cu_q, cu_k, longest_q, longest_k, causal):
    """Attention within packed sequences; causal is aligned to the end of each sequence of keys. q [n, heads, d]."""
    if q.is_cuda and q.dtype != torch.float32:
        from torch.nn.attention.varlen import varlen_attn
        return varlen_attn(q, k, v, cu_q, cu_k, longest_q, longest_k, window_size=(-1, 0) if causal else (-1, -1))
    parts = []
    starts_q, starts_k = cu_q.tolist(), cu_k.tolist()
    for a, b, c, d in zip(starts_q, starts_q[1:], starts_k, starts_k[1:]):
        if a == b:
            continue
        repeat = q.shape[1] // k.shape[1]
        qs, ks, vs = (t[None].transpose(1, 2) for t in (q[a:b], k[c:d].repeat_interleave(repeat, 1),
                                                        v[c:d].repeat_interleave(repeat, 1)))
        mask = torch.ones(b - a, d - c, dtype=torch.bool, device=q.device).tril(d - c - (b - a)) if causal else None
        parts.append(F.scaled_dot_product_attention(qs, ks, vs, attn_mask=mask)[0].transpose(0, 1))
    return torch.cat(parts)


class GatherRows(torch.autograd.Function):
    """rows[index]; the backward pass sums by the inverse table [rows, uses] instead of with atomics, so it is exact in
    order and repeatable. Table entries equal to len(index) mean no use."""

    @staticmethod
    def forward(ctx, rows, index, uses):
        ctx.save_for_backward(uses)
        return rows.index_select(0, index)

    @staticmethod
    def backward(ctx, grad):
        uses, = ctx.saved_tensors
        padded = torch.cat((grad, grad.new_zeros(1, grad.shape[1])))
        total = padded.index_select(0, uses[:, 0]).float()
        for i in range(1, uses.shape[1]):
            total = total + padded.index_select(0, uses[:, i]).float()
        return total.to(grad.dtype), None, None


def vision_block(x, cos, sin, cu, longest, heads, n1, qkv_w, qkv_b, proj_w, proj_b, n2, gate_w, gate_b, up_w, up_b, down_w,
                 down_b):
    n, h = x.shape
    q, k, v = dense(rms_norm(x, n1), qkv_w, qkv_b).view(n, 3, heads, h // heads).unbind(1)
    a = attend(rotate(q, cos, sin), rotate(k, cos, sin), v.contiguous(), cu, cu, longest, longest, False)
    x = x + dense(a.reshape(n, h), proj_w, proj_b)
    y = rms_norm(x, n2)
    return x + dense(F.silu(dense(y, gate_w, gate_b)) * dense(y, up_w, up_b), down_w, down_b)


def text_block(x, cos, sin, cu_q, cu_k, longest_q, longest_k, kv_index, kv_uses, head_dim, n1, q_w, q_b, k_w, k_b, v_w, v_b,
               o_w, n2, gate_w, up_w, down_w):
    n, h = x.shape
    y = rms_norm(x, n1)
    q = rotate(dense(y, q_w, q_b).view(n, -1, head_dim), cos, sin)
    k = rotate(dense(y, k_w, k_b).view(n, -1, head_dim), cos, sin)
    v = dense(y, v_w, v_b)
    kv = GatherRows.apply(torch.cat((k.reshape(n, -1), v), 1), kv_index, kv_uses)
    k, v = (t.reshape(t.shape[0], -1, head_dim).contiguous() for t in kv.chunk(2, 1))
    a = attend(q, k, v, cu_q, cu_k, longest_q, longest_k, True)
    x = x + dense(a.reshape(n, -1), o_w)
    y = rms_norm(x, n2)
    return x + dense(F.silu(dense(y, gate_w)) * dense(y, up_w), down_w)


def patch_rows(pixels, mean, std, dtype):
    """Bytes [n, 588] in (channel, row, column) order -> normalized values."""
    n = pixels.shape[0]
    x = pixels.view(n, 3, -1).float() / 255.0
    return ((x - mean) / std).view(n, -1).to(dtype)


def merge(y, w0, b0, w2, b2):
    z = y.reshape(y.shape[0] // config.MERGE**2, -1)
    return dense(F.gelu(dense(z, w0, b0)), w2, b2)


def vision_angles(pos, head_dim, theta):
    """pos [n, 2] (row, column) -> cos, sin [n, 1, head_dim]."""
    d = head_dim // 2
    freq = 1.0 / theta ** (torch.arange(0, d, 2, device=pos.device, dtype=torch.float32) / d)
    e = (pos.float()[:, :, None] * freq).reshape(pos.shape[0], -1)
    e = torch.cat((e, e), -1)[:, None]
    return e.cos(), e.sin()


def text_angles(pos, head_dim, theta, sections):
    """pos [n, 3] (time, height, width) -> cos, sin [n, 1, head_dim]; sections say which axis turns which frequencies."""
    freq = 1.0 / theta ** (torch.arange(0, head_dim, 2, device=pos.device, dtype=torch.float32) / head_dim)
    axis = torch.tensor([a for a, n in enumerate(sections) for _ in range(n)], device=pos.device)
    e = pos.float()[:, axis] * freq
    e = torch.cat((e, e), -1)[:, None]
    return e.cos(), e.sin()


def head_loss(h, norm, embed, labels):
    """Mean cross entropy over the labels that are not -100, and the argmax tokens."""
    logits = dense(rms_norm(h, norm), embed).float()
    return F.cross_entropy(logits, labels, ignore_index=-100), logits.argmax(-1)


def aux_loss(y, weight, bias, labels):
    return F.cross_entropy(dense(y, weight, bias).float(), labels)


class Model:
    """The network over a dict of parameters, which a caller may replace at any step (quantised copies, say)."""

    def __init__(self, params, vision=config.VISION, text=config.TEXT, dtype=torch.bfloat16, compiled=False):
        self.params, self.vision, self.text, self.dtype = params, vision, text, dtype
        wrap = (lambda f: torch.compile(f, dynamic=False)) if compiled else (lambda f: f)
        self.eager = dict(v=vision_block, t=text_block, rows=patch_rows, merge=merge, head=head_loss, aux=aux_loss,
                          va=vision_angles, ta=text_angles)
        self.fast = {k: wrap(f) for k, f in self.eager.items()}
        self.f = self.fast
        device = next(iter(params.values())).device
        self.mean = torch.tensor(config.IMAGE_MEAN, device=device)[:, None]
        self.std = torch.tensor(config.IMAGE_STD, device=device)[:, None]

    def see(self, batch):
        """Image tokens [patches / 4, hidden] and the last block's normalized patch states."""
        p, c = self.params, self.vision
        x = dense(self.f["rows"](batch["pixels"], self.mean, self.std, self.dtype), p[VIS + "patch_embed.weight"])
        cos, sin = self.f["va"](batch["patch_pos"], c["hidden"] // c["heads"], c["theta"])
        for i in range(c["depth"]):
            full = i in c["full"]
            cu, longest = (batch["image_cu"], batch["longest_image"]) if full else (batch["window_cu"], batch["longest_window"])
            x = self.f["v"](x, cos, sin, cu, longest, c["heads"], *(p[f"{VIS}blocks.{i}.{n}"] for n in (
                "norm1.weight", "attn.qkv.weight", "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias", "norm2.weight",
                "mlp.gate_proj.weight", "mlp.gate_proj.bias", "mlp.up_proj.weight", "mlp.up_proj.bias",
                "mlp.down_proj.weight", "mlp.down_proj.bias")))
        y = rms_norm(x, p[VIS + "merger.ln_q.weight"])
        names = ("0.weight", "0.bias", "2.weight", "2.bias")
        return self.f["merge"](y, *(p[f"{VIS}merger.mlp.{n}"] for n in names)), y

    def read(self, batch, features):
        """Hidden states [tokens, hidden] of all conversations."""
        p, c = self.params, self.text
        rows = torch.cat((F.embedding(batch["ids"], p[LM + "embed_tokens.weight"]).to(self.dtype)[: batch["ids"].shape[0]], ))
        seen = GatherRows.apply(features, batch["feature_index"], batch["feature_uses"])
        x = torch.where(batch["is_image"][:, None], seen, rows)
        cos, sin = self.f["ta"](batch["token_pos"], c["head_dim"], c["theta"], c["sections"])
        for i in range(c["layers"]):
            x = self.f["t"](x, cos, sin, batch["cu_q"], batch["cu_k"], batch["longest_q"], batch["longest_k"],
                            batch["kv_index"], batch["kv_uses"], c["head_dim"], *(p[f"{LM}layers.{i}.{n}"] for n in (
                                "input_layernorm.weight", "self_attn.q_proj.weight", "self_attn.q_proj.bias",
                                "self_attn.k_proj.weight", "self_attn.k_proj.bias", "self_attn.v_proj.weight",
                                "self_attn.v_proj.bias", "self_attn.o_proj.weight", "post_attention_layernorm.weight",
                                "mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight")))
        return x

    def losses(self, batch):
        """(answer loss, patch loss, predicted tokens at the labels)."""
        p = self.params
        features, states = self.see(batch)
        hidden = self.read(batch, features).index_select(0, batch["label_index"])
        loss, predicted = self.f["head"](hidden, p[LM + "norm.weight"], p[LM + "embed_tokens.weight"], batch["labels"])
        sample = batch["aux_index"]
        aux = self.f["aux"](states.index_select(0, sample), p["aux.weight"], p["aux.bias"], batch["aux_labels"])
        return loss, aux, predicted
