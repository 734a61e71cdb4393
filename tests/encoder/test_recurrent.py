"""The two-GRU stack against a per-frame loop written from the equations, and its training against torch's GRU."""

import pytest
import torch
from torch import Tensor, nn

from skelrep.encoder.moments import of_clip
from skelrep.encoder.recurrent import RecurrentConfig, RecurrentStack
from skelrep.encoder.recurrent_cpu import CHUNK, MIN_CLIPS, GRUPair

JOINTS, PERSONS, FRAMES, HIDDEN = 5, 2, 12, 8


@pytest.fixture(params=["last", "moments"])
def stack(request) -> RecurrentStack:
    torch.manual_seed(0)
    stack = RecurrentStack(JOINTS, PERSONS, RecurrentConfig(HIDDEN, 3, readout=request.param)).double().eval()
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


def stepped(stack: RecurrentStack, poses: Tensor, precision: str = "float32") -> list[Tensor]:
    """The feature after every frame."""
    network, features = stack.packed(precision), []
    with torch.no_grad():
        state = network.start(len(poses))
        for frame in poses.split(1, dim=2):
            now, state = network.step(frame, state)
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
    states = []
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
        states.append(x)
    if not stack.moments:
        return states[-1]
    variance, mean = torch.var_mean(torch.stack(states), dim=0, unbiased=False)
    return torch.cat([mean, 2 * (variance + 1e-4).sqrt()])


def test_equals_the_loop_over_frames(stack, poses):
    expected = torch.stack([naive(stack, clip) for clip in poses])
    assert torch.allclose(feature(stack, poses), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-6), ("bfloat16", 2e-2), ("int8", 5e-2)])
def test_steps_equal_the_whole_sequence_at_every_frame(stack, poses, precision, tolerance):
    stack, poses = stack.float(), poses.float()
    for t, now in enumerate(stepped(stack, poses, precision)):
        assert torch.allclose(now, feature(stack, poses[:, :, : t + 1]), rtol=0, atol=tolerance)


@torch.no_grad()
def test_a_lookahead_frame_does_not_change_the_state(stack, poses):
    stack, poses = stack.float(), poses.float()
    network = stack.packed("float32")
    _, before = network.step(poses[:, :, :1], network.start(4))
    looked, state = network.step(poses[:, :, 1:3], before)
    _, alone = network.step(poses[:, :, 1:2], before)
    torch.testing.assert_close(state, alone)
    assert torch.allclose(looked, feature(stack, poses[:, :, :3]), rtol=0, atol=1e-6)


def test_a_frame_changes_nothing_before_it(stack, poses):
    stack, poses = stack.float(), poses.float()
    t = 7
    moved = poses.clone()
    moved[:, :, t] += 1
    before, after = stepped(stack, poses), stepped(stack, moved)
    assert all(torch.equal(before[s], after[s]) for s in range(t))
    assert all((before[s] - after[s]).abs().amax(dim=1).min() > 1e-6 for s in range(t, FRAMES))


@torch.no_grad()
@pytest.mark.parametrize("readout", ["last", "moments"])
def test_persons_who_are_encoded_alone(readout, poses):
    stack = RecurrentStack(JOINTS, PERSONS, RecurrentConfig(HIDDEN, 2, readout, "alone")).double().eval()
    single = RecurrentStack(JOINTS, 1, RecurrentConfig(HIDDEN, 2, readout)).double().eval()
    single.load_state_dict(stack.state_dict())
    present = torch.tensor([[True, True], [True, False], [False, True], [False, False]])
    each = torch.stack([single(poses[:, m : m + 1]) for m in range(PERSONS)], dim=1)
    expected = torch.stack([each[0].mean(dim=0), each[1, 0], each[2, 1], 0 * each[3, 0]])
    torch.testing.assert_close(stack(poses, present), expected)
    torch.testing.assert_close(stack(poses), each.mean(dim=1))
    torch.testing.assert_close(stack.per_frame(poses, present)[:, -1], expected)


@torch.no_grad()
def test_clips_of_different_lengths_are_filled_up(stack, poses):
    stack, poses = stack.float(), poses.float()
    lengths = torch.tensor([1, 5, 12, 7])
    expected = torch.cat([feature(stack, clip[None, :, :n]) for clip, n in zip(poses, lengths)])
    for clips in (slice(None), slice(1, 4)):
        many = [torch.cat([part[clips]] * 3) for part in (poses, lengths, expected)]  # enough for packed products
        for part in ([poses[clips], lengths[clips], expected[clips]], many):
            filled, counts, features = part
            everyone = torch.ones(len(filled), PERSONS, dtype=torch.bool)
            for network in (stack, stack.packed("float32")):
                torch.testing.assert_close(network(filled, everyone, counts), features, rtol=0, atol=1e-6)


def test_dimensions_and_state(stack, poses):
    assert stack.dim == (4 if stack.moments else 2) * HIDDEN
    assert feature(stack, poses).shape == (4, stack.dim)
    start = stack.float().packed("float32").start(4)
    assert len(start.layers) == 3
    for state, product in (gru for pair in start.layers for gru in pair):
        assert state.shape == (4, HIDDEN) and not state.any()
        assert product.shape == (4, 3 * HIDDEN)


def pair_of(features: int, hidden: int, dtype: torch.dtype) -> nn.ModuleList:
    torch.manual_seed(0)
    return nn.ModuleList(nn.GRU(features, hidden, batch_first=True, dtype=dtype) for _ in range(2))


def by_hand(x: Tensor, pair: nn.ModuleList, product: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
    """(N, T, features) to all states (N, T, 2 x hidden) and the last ones."""
    states, last = GRUPair.apply(x.transpose(0, 1).contiguous(), product or x.dtype, True, *pair.parameters())
    return states.transpose(0, 1), last


def by_torch(x: Tensor, pair: nn.ModuleList) -> tuple[Tensor, Tensor]:
    states = torch.cat([gru(x)[0] for gru in pair], dim=-1)
    return states, states[:, -1]


def gradients(results: tuple[Tensor, Tensor], inputs: list[Tensor], use: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    loss = torch.zeros(())
    for name, result in zip(("states", "last"), results):
        if name in use:
            weight = torch.randn(result.shape, dtype=torch.float64, generator=generator)
            loss = loss + (result.double() * weight).sum()
    return list(torch.autograd.grad(loss, inputs))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("use", ["states", "last", "states and last"])
@pytest.mark.parametrize(("clips", "frames"), [(5, 2 * CHUNK + 3), (1, CHUNK), (3, 1)])
def test_a_pair_by_hand_and_its_gradients_are_those_of_torch(dtype, tolerance, use, clips, frames):
    pair = pair_of(6, HIDDEN, dtype)
    x = torch.randn(clips, frames, 6, dtype=dtype, requires_grad=True)
    inputs = [x, *pair.parameters()]
    found, expected = by_hand(x, pair), by_torch(x, pair)
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance)
    for a, b in zip(gradients(found, inputs, use), gradients(expected, inputs, use)):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * float(b.abs().max() + 1))


def test_gradients_of_a_pair_by_differences():
    pair = pair_of(3, 2, torch.float64)
    x = torch.randn(2, CHUNK + 2, 3, dtype=torch.float64, requires_grad=True)

    def run(x: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        return by_hand(x, pair)

    assert torch.autograd.gradcheck(run, (x, *pair.parameters()))


def test_bfloat16_products_keep_gradients_close():
    pair = pair_of(20, 32, torch.float32)
    x = torch.randn(16, 3 * CHUNK, 20, requires_grad=True)
    inputs = [x, *pair.parameters()]
    found, expected = by_hand(x, pair, torch.bfloat16), by_torch(x, pair)
    assert [part.dtype for part in found] == [torch.bfloat16, torch.float32]
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=0.02)
    for a, b in zip(gradients(found, inputs, "last"), gradients(expected, inputs, "last")):
        assert a.dtype == b.dtype
        assert (a - b).norm() < 0.02 * b.norm()


def through_torch(stack: RecurrentStack, poses: Tensor) -> Tensor:
    rows = poses.permute(0, 2, 3, 4, 1).flatten(2)
    x = stack.norm(rows.transpose(1, 2)).transpose(1, 2)
    for pair in stack.layers:
        x, last = by_torch(x, pair)  # type: ignore[arg-type]
    return of_clip(x.transpose(0, 1)) if stack.moments else last


@pytest.mark.parametrize("training", [True, False])
def test_training_is_that_of_torch(stack, poses, training):
    stack.train(training)
    results = {}
    for run in (stack, lambda poses: through_torch(stack, poses)):
        stack.zero_grad()
        feature = run(poses)
        feature.square().sum().backward()
        results[run] = [feature, *(parameter.grad for parameter in stack.parameters())]
    found, expected = results.values()
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-11) for a, b in zip(found, expected))


def test_autocast_and_parameters_that_are_not_trained(stack, poses):
    stack, poses = stack.float().train(), poses.float()
    expected = stack(poses).detach()
    with torch.autocast("cpu", torch.bfloat16):
        feature = stack(poses)
    assert feature.dtype == torch.float32
    assert 0 < (feature - expected).abs().max() < 0.02
    stack.requires_grad_(False)
    assert stack(poses).grad_fn is None
    stack.layers[1].requires_grad_(True)
    stack(poses).sum().backward()
    assert [p.grad is not None for p in stack.layers.parameters()] == 8 * [False] + 8 * [True] + 8 * [False]


@pytest.mark.parametrize(("copies", "fewer"), [(1, True), (MIN_CLIPS, False)])
def test_nothing_is_kept_without_gradients(stack, poses, copies, fewer):
    poses, kept = poses.repeat(copies, 1, 1, 1, 1), []
    assert (len(poses) < MIN_CLIPS) == fewer

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        with_gradients = stack(poses)
        assert kept
        kept.clear()
        assert torch.allclose(feature(stack, poses), with_gradients, rtol=0, atol=1e-12)
    assert not kept
