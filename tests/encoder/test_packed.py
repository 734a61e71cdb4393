"""Packed networks against the plain ones, in all precisions."""

import copy
import pickle

import pytest
import torch

from skelrep import embed, load_pretrained
from skelrep.encoder import Encoder, EncoderConfig
from skelrep.encoder.causal_convolution import CausalConvolution, CausalConvolutionConfig
from skelrep.encoder.convolution import ConvolutionConfig, TemporalConvolution
from skelrep.encoder.recurrent import RecurrentConfig, RecurrentStack
from skelrep.encoder.recurrent_cpu import MIN_CLIPS
from skelrep.matmul import PRECISIONS
from tests.ragged_clips import ragged

# Cosine to the plain float32 network, at the least.
COSINE = {"float32": 1 - 1e-6, "bfloat16": 0.9999, "int8": 0.999}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def randomised(network):
    """With BatchNorms that do something."""
    for name, tensor in network.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    return network.eval()


NETWORKS = {
    "causal convolution": lambda: CausalConvolution(15, CausalConvolutionConfig(24, 2, 5)),
    "recurrent": lambda: RecurrentStack(15, 2, RecurrentConfig(hidden=24, layers=3)),
    "recurrent, persons alone": lambda: RecurrentStack(15, 2, RecurrentConfig(24, 1, "moments", "alone")),
    "convolution": lambda: TemporalConvolution(15, 40, ConvolutionConfig(width=32, blocks=2, spans=2)),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return randomised(NETWORKS[request.param]())


@pytest.fixture
def poses():
    poses = torch.randn(MIN_CLIPS + 2, 2, 40, 15, 3)
    poses[1:4, 1] = 0  # no second person in some clips
    return poses


@pytest.fixture(scope="module")
def clips():
    return ragged(20)


def similar(one, other):
    return torch.nn.functional.cosine_similarity(one, other, dim=1).min().item()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_packed_networks_equal_plain_ones(network, poses, precision):
    present = (poses != 0).flatten(2).any(dim=2)
    with torch.inference_mode():
        plain, packed = network(poses, present), network.packed(precision)(poses, present)
    assert packed.dtype == torch.float32
    assert similar(packed, plain) > COSINE[precision]
    if precision == "float32":
        torch.testing.assert_close(packed, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_inputs_that_hardly_vary_spoil_nothing(precision):
    """The centre joint is always zero, so BatchNorm multiplies it by 1 / sqrt(eps)."""
    network = randomised(RecurrentStack(15, 1, RecurrentConfig(hidden=64, layers=3)))
    network.norm.running_mean[:3], network.norm.running_var[:3] = 0, 0
    poses = torch.randn(MIN_CLIPS, 1, 40, 15, 3)
    poses[:, :, :, 0] = 0
    with torch.inference_mode():
        present = torch.ones(MIN_CLIPS, 1, dtype=torch.bool)
        assert similar(network.packed(precision)(poses, present), network(poses)) > COSINE[precision]


def test_a_number_of_frames_that_no_chunk_divides():
    network = randomised(RecurrentStack(15, 1, RecurrentConfig(hidden=24, layers=2)))
    poses = torch.randn(MIN_CLIPS, 1, 13, 15, 3)
    present = torch.ones(MIN_CLIPS, 1, dtype=torch.bool)
    with torch.inference_mode():
        torch.testing.assert_close(network.packed("float32")(poses, present), network(poses), rtol=1e-4, atol=1e-5)


def test_changed_weights_are_packed_again():
    encoder = Encoder(EncoderConfig())
    poses = torch.randn(2, 1, 64, 15, 3)
    with torch.no_grad():
        first = encoder.features(poses, ["joint"], "float32")["joint"]
        kept = encoder.packed(["joint"], "float32")["joint"]
        assert encoder.packed(["joint"], "float32")["joint"] is kept
        encoder.streams["joint"].entry.weight.mul_(2)
        second = encoder.features(poses, ["joint"], "float32")["joint"]
        torch.testing.assert_close(second, encoder(poses)["joint"], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(first, second)


def test_copies_and_pickles_leave_packed_weights_behind(clips):
    encoder = load_pretrained()
    rows = embed(clips[:3], encoder)
    assert "_packed_streams" in encoder.__dict__
    for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert "_packed_streams" not in other.__dict__
        assert (embed(clips[:3], other) == rows).all()


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_embed_in_other_precisions(clips, precision):
    encoder = load_pretrained()
    exact, fast = embed(clips, encoder), embed(clips, encoder, precision=precision)
    assert fast.dtype == exact.dtype
    assert not (fast == exact).all()
    cosines = torch.nn.functional.cosine_similarity(torch.from_numpy(exact), torch.from_numpy(fast), dim=1)
    assert cosines.median() > COSINE[precision]
    # int8 has one scale for a batch, so clips in a batch with an extreme one lose more precision.
    assert cosines.min() > (COSINE[precision] if precision == "bfloat16" else 0.99)


def test_an_unknown_precision(clips):
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16, int8; got 'float16'"):
        embed(clips, precision="float16")


def test_modules_follow_autocast():
    encoder, poses = Encoder(EncoderConfig()), torch.randn(2, 1, 64, 15, 3)
    with torch.no_grad():
        exact = encoder(poses)["joint"]
        with torch.autocast("cpu", torch.bfloat16):
            rounded = encoder(poses)["joint"]
    assert similar(rounded.float(), exact) > COSINE["bfloat16"]
    assert not torch.allclose(rounded.float(), exact, rtol=1e-5, atol=1e-6)


def test_int8_is_for_cpus():
    encoder = Encoder(EncoderConfig()).to("meta")
    with pytest.raises(ValueError, match="int8 products are for CPUs; on meta use"):
        encoder.features(torch.empty(1, 1, 64, 15, 3, device="meta"), ["joint"], "int8")
