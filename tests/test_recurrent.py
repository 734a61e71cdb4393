"""The two-GRU stack against a per-frame loop written from the equations."""

import pytest
import torch
from torch import Tensor

from skelrep.recurrent import RecurrentConfig, RecurrentStack

JOINTS, PERSONS, FRAMES, HIDDEN = 5, 2, 12, 8


@pytest.fixture
def stack() -> RecurrentStack:
    torch.manual_seed(0)
    stack = RecurrentStack(JOINTS, PERSONS, RecurrentConfig(hidden=HIDDEN, layers=3)).double().eval()
    for name, tensor in stack.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    return stack


@pytest.fixture
def poses() -> Tensor:
    return torch.randn(4, PERSONS, FRAMES, JOINTS, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def feature(stack: RecurrentStack, poses: Tensor) -> Tensor:
    with torch.no_grad():
        return stack(poses, (poses != 0).flatten(2).any(dim=2))


def stepped(stack: RecurrentStack, poses: Tensor) -> list[Tensor]:
    """The feature after every frame."""
    state, features = stack.start(len(poses)), []
    with torch.no_grad():
        for t in range(poses.shape[2]):
            now, state = stack.step(poses[:, :, t], state)
            features.append(now)
    return features


def gru_cell(x: Tensor, h: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Cho et al. 2014 in the form of cuDNN: the reset gate acts after the recurrent product."""
    a = weights["weight_ih_l0"] @ x + weights["bias_ih_l0"]
    b = weights["weight_hh_l0"] @ h + weights["bias_hh_l0"]
    size = len(h)
    reset = torch.sigmoid(a[:size] + b[:size])
    update = torch.sigmoid(a[size : 2 * size] + b[size : 2 * size])
    new = torch.tanh(a[2 * size :] + reset * b[2 * size :])
    return (1 - update) * new + update * h


def naive(stack: RecurrentStack, clip: Tensor) -> Tensor:
    """The feature of one (M, T, V, 3) clip, number by number."""
    state = stack.state_dict()
    hidden = [[torch.zeros(HIDDEN, dtype=torch.float64) for _ in range(2)] for _ in range(3)]
    x = torch.empty(0)
    for t in range(FRAMES):
        values = [clip[m, t, v, c] for v in range(JOINTS) for c in range(3) for m in range(PERSONS)]
        x = torch.stack(values)
        spread = (state["norm.running_var"] + 1e-5).sqrt()
        x = (x - state["norm.running_mean"]) / spread * state["norm.weight"] + state["norm.bias"]
        for layer in range(3):
            for half in range(2):
                prefix = f"layers.{layer}.{half}."
                weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
                hidden[layer][half] = gru_cell(x, hidden[layer][half], weights)
            x = torch.cat(hidden[layer])
    return x


def test_equals_the_loop_over_frames(stack, poses):
    expected = torch.stack([naive(stack, clip) for clip in poses])
    assert torch.allclose(feature(stack, poses), expected, rtol=0, atol=1e-12)


def test_steps_equal_the_whole_sequence_at_every_frame(stack, poses):
    for t, now in enumerate(stepped(stack, poses)):
        assert torch.allclose(now, feature(stack, poses[:, :, : t + 1]), rtol=0, atol=1e-12)


def test_steps_equal_the_whole_sequence_in_float32(stack, poses):
    stack, poses = stack.float(), poses.float()
    assert torch.allclose(stepped(stack, poses)[-1], feature(stack, poses), rtol=0, atol=1e-6)


def test_a_frame_changes_nothing_before_it(stack, poses):
    t = 7
    moved = poses.clone()
    moved[:, :, t] += 1
    before, after = stepped(stack, poses), stepped(stack, moved)
    assert all(torch.equal(before[s], after[s]) for s in range(t))
    assert all((before[s] - after[s]).abs().amax(dim=1).min() > 1e-6 for s in range(t, FRAMES))


def test_dimensions_and_state(stack, poses):
    assert stack.dim == 2 * HIDDEN
    assert feature(stack, poses).shape == (4, 2 * HIDDEN)
    start = stack.start(4)
    assert len(start) == 3
    assert all(
        part.shape == (4, HIDDEN) and part.dtype == torch.float64 and not part.any() for pair in start for part in pair
    )
