"""A larger model that begins where a smaller one ended: copied and padded so that it computes the same.

Width by copies, in the manner of T. Chen and others, "Net2Net" (2016), and M. Samragh and others, "Scaling Smart:
Accelerating Large Language Model Pre-training with Small Model Initialization" (2024); depth by layers that add nothing
at first (C. Wu and others, "LLaMA Pro", 2024); experts from parts of one feed-forward layer (A. Komatsuzaki and others,
"Sparse Upcycling", 2023)."""

from __future__ import annotations

import torch


def grow(small, large, seed: int = 0):
    """Fill `large`, a Llama or a Mixtral, from `small`, a Llama with as many heads. Returns `large`.

    `large` has the width of `small` or twice it (head size, hidden and feed-forward size alike), at least as many layers,
    and the same vocabulary. A dense one then gives the logits of `small`; experts only come near them, because two of
    them hold a part of the neurons. ValueError for other shapes."""
    here, there = small.config, large.config
    experts = getattr(there, "num_local_experts", 0)
    double = there.hidden_size == 2 * here.hidden_size
    same_width = there.hidden_size == here.hidden_size
    fits = (
        (double or same_width)
        and there.vocab_size == here.vocab_size
        and there.num_attention_heads == here.num_attention_heads
        and there.num_key_value_heads == here.num_key_value_heads
        and there.num_hidden_layers >= here.num_hidden_layers
        and (experts * there.intermediate_size >= here.intermediate_size if experts and same_width else not experts)
        and (experts or there.intermediate_size == here.intermediate_size * (1 + double))
    )
    if not fits:
        raise ValueError(
            "Growing keeps the vocabulary and the heads, keeps or doubles the width, adds layers, and turns feed-forward "
            "layers into experts of the same width: choose another model to start from."
        )
    random = torch.Generator().manual_seed(seed)
    state = large.state_dict()
    with torch.no_grad():
        for name, tensor in small.state_dict().items():
            if ".layers." not in name and name != "lm_head.weight":
                state[name].copy_(_outer(name, tensor, double))
        for at, (source, new) in enumerate(_plan(here.num_hidden_layers, there.num_hidden_layers)):
            layer = _layer(small.model.layers[source].state_dict(), here, double, random)
            if new:  # it adds nothing until it is trained
                layer["self_attn.o_proj.weight"].zero_()
                layer["mlp.down_proj.weight"].zero_()
            if experts:
                layer = _experts(layer, experts, there, random)
            for part, tensor in layer.items():
                state[f"model.layers.{at}.{part}"].copy_(tensor)
    return large


def _plan(small: int, large: int) -> list[tuple[int, bool]]:
    """For each layer of the large model: the layer it is copied from, and whether it is an added one. Added layers follow
    the layer they copy and are spread evenly."""
    plan = [(at, False) for at in range(small)]
    for number in range(large - small):
        source = (number + 1) * small // (large - small + 1) if large - small < small else number % small
        source = min(source, small - 1)
        place = max(i for i, (at, _) in enumerate(plan) if at == source) + 1
        plan.insert(place, (source, True))
    return plan


def _outer(name: str, tensor, double: bool):
    """Embedding and last norm. The stream is two copies of the small one; the tied output matrix adds both copies up, so
    the last norm halves them."""
    if not double:
        return tensor
    return torch.cat([tensor, tensor], dim=-1) * (0.5 if name == "model.norm.weight" else 1.0)


def _layer(state: dict, config, double: bool, random) -> dict:
    """The tensors of a layer in the large width."""
    if not double:
        return {name: tensor.clone() for name, tensor in state.items()}
    made = {}
    for name, tensor in state.items():
        if "norm" in name:
            made[name] = torch.cat([tensor, tensor])
            continue
        wide = _split_columns(tensor, random)  # reads both copies of the stream, of the heads or of the neurons
        if "q_proj" in name or "k_proj" in name:
            wide = _rotary_rows(wide, config.head_dim, "q_proj" in name, random)
        elif "v_proj" in name:
            heads = wide.unflatten(0, (-1, config.head_dim))
            wide = torch.cat([heads, _renoised(heads, random)], dim=1).flatten(0, 1)
        else:
            wide = torch.cat([wide, _renoised(wide, random)])
        made[name] = wide
    made["self_attn.o_proj.weight"] = _head_columns(state["self_attn.o_proj.weight"], config.head_dim, random)
    return made


def _split_columns(tensor, random):
    """(rows, n) -> (rows, 2n): what reads x reads [x, x] with half the weight each. Noise that cancels makes the halves
    differ, or both would be trained alike for ever."""
    noise = torch.randn(tensor.shape, generator=random) * tensor.std() / 2
    return torch.cat([tensor / 2 + noise, tensor / 2 - noise], dim=-1)


def _renoised(wide, random):
    """The same map of [x, x] with other noise."""
    left, right = wide.chunk(2, dim=-1)
    return _split_columns(left + right, random).view_as(wide)


def _head_columns(tensor, head_dim: int, random):
    """The output projection: its rows are written twice, and it reads each head's two copies of the values."""
    heads = tensor.unflatten(-1, (-1, head_dim))  # (hidden, H, D)

    def reading():
        noise = torch.randn(heads.shape, generator=random) * heads.std() / 2
        return torch.cat([heads / 2 + noise, heads / 2 - noise], dim=-1).flatten(1)

    return torch.cat([reading(), reading()])


def _rotary_rows(wide, head_dim: int, query: bool, random):
    """Rows of Q or K for heads of twice the size, with the same scores.

    RoPE turns the pair (i, i + D/2) by base ** (-2 i / D) a position. Pair i of the small head has the frequency of pair 2i
    of the large one and goes there. The pairs between start with random queries and keys of zero. Scores are divided by
    the root of the head size, which grew by sqrt(2): the queries make up for it."""
    heads = wide.unflatten(0, (-1, 2, head_dim // 2))  # (heads, half of the head, pair, columns)
    grown = torch.zeros(heads.shape[0], 2, head_dim, heads.shape[-1])
    if query:
        grown += torch.randn(grown.shape, generator=random) * wide.std()
        heads = heads * 2**0.5
    grown[:, :, ::2] = heads
    return grown.flatten(0, 2)


def _experts(layer: dict, experts: int, config, random) -> dict:
    """The feed-forward layer dealt out to experts: every neuron goes to as many of them as room allows, and outputs are
    scaled up by the part that an expert lacks. The router starts at random."""
    gate, up, down = (layer.pop(f"mlp.{part}_proj.weight") for part in ("gate", "up", "down"))
    neurons, size = gate.shape[0], config.intermediate_size
    rounds = -(-experts * size // neurons)
    order = torch.cat([torch.randperm(neurons, generator=random) for _ in range(rounds)])[: experts * size]
    chosen = order.view(experts, size)
    layer["mlp.experts.gate_up_proj"] = torch.stack([torch.cat([gate[rows], up[rows]]) for rows in chosen])
    layer["mlp.experts.down_proj"] = torch.stack([down[:, rows] * neurons / size for rows in chosen])
    layer["mlp.gate.weight"] = torch.randn(experts, gate.shape[1], generator=random) * 0.02
    return layer
