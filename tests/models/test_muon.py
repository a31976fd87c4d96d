"""Muon: its step is orthogonal, batched shapes agree with single ones, and it lowers a loss."""

import pytest
import torch

from lessonlib.models.training.muon import Muon, optimisers, orthogonalise


@pytest.mark.parametrize("shape", [(3, 24, 24), (2, 16, 40), (2, 40, 16), (1, 192, 512)])
def test_singular_values_come_near_one(shape):
    torch.manual_seed(0)
    made = orthogonalise(torch.randn(shape))
    values = torch.linalg.svdvals(made)
    assert made.shape == shape
    assert values.max() < 1.3
    assert (values > 0.6).float().mean() > 0.9  # a square random matrix has a few that start too near 0 for five rounds


def test_singular_vectors_stay():
    torch.manual_seed(1)
    matrix = torch.randn(1, 8, 8)
    u, _, v = torch.linalg.svd(matrix)
    core = u.mT @ orthogonalise(matrix) @ v.mT
    assert (core - torch.diag_embed(core.diagonal(dim1=-2, dim2=-1))).abs().max() < 1e-4


def test_a_matrix_steps_alike_alone_and_batched():
    torch.manual_seed(2)
    start, gradients = torch.randn(3, 12, 20), torch.randn(3, 12, 20)
    together = [torch.nn.Parameter(m.clone()) for m in start]
    for parameter, gradient in zip(together, gradients, strict=True):
        parameter.grad = gradient.clone()
    Muon(together, lr=0.1).step()
    for index in range(3):
        alone = torch.nn.Parameter(start[index].clone())
        alone.grad = gradients[index].clone()
        Muon([alone], lr=0.1).step()
        assert torch.allclose(alone, together[index], atol=1e-5)
        assert torch.linalg.svdvals(start[index] - alone.detach()).max() < 0.1 * 1.3


def test_weight_decay_is_decoupled():
    parameter = torch.nn.Parameter(torch.eye(4))
    parameter.grad = torch.zeros(4, 4)
    Muon([parameter], lr=0.5, weight_decay=0.1).step()
    assert torch.allclose(parameter.detach(), torch.eye(4) * 0.95)


def test_it_fits_a_matrix():
    torch.manual_seed(3)
    goal, parameter = torch.randn(16, 16) / 4, torch.nn.Parameter(torch.zeros(16, 16))
    optimiser = Muon([parameter], lr=0.02)
    for _ in range(150):
        optimiser.zero_grad()
        (parameter - goal).square().sum().backward()
        optimiser.step()
    assert (parameter - goal).norm() < 0.2 * goal.norm()


def test_hidden_matrices_go_to_muon_and_the_rest_to_adamw():
    from transformers import AutoModelForCausalLM

    from lessonlib.models.training.presets import config_for

    from .conftest import tiny_preset

    model = AutoModelForCausalLM.from_config(config_for(tiny_preset(experts=4, active_experts=2)))
    muon, adamw = optimisers(model, 0.02, 3e-3, 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    hidden = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    rest = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    assert hidden | rest == set(names.values()) and not hidden & rest
    assert all("proj" in name for name in hidden)
    assert any("embed_tokens" in name for name in rest) and any("gate.weight" in name for name in rest)
