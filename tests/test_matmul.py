"""Packed products and the networks made of them, against the plain ones."""

import copy
import pickle

import pytest
import torch

from skelrep import embed, load_pretrained
from skelrep.encoder import Encoder, EncoderConfig
from skelrep.encoder.convolution import ConvolutionConfig, TemporalConvolution
from skelrep.encoder.recurrent import RecurrentConfig, RecurrentStack
from skelrep.encoder.recurrent_cpu import MIN_CLIPS
from skelrep.matmul import PRECISIONS, Product, _direct, product
from tests.test_embedding import ragged

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
    "recurrent": lambda: RecurrentStack(15, 2, RecurrentConfig(hidden=24, layers=3)),
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


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_product_is_the_plain_one_but_for_rounding(precision, relu):
    rows, weight, bias = torch.randn(3, 50, 70), torch.randn(33, 70), torch.randn(33)
    product = Product(weight, bias, precision, relu=relu)
    plain = torch.nn.functional.linear(rows, weight, bias)
    plain = plain.relu() if relu else plain
    got = product(rows)
    assert got.shape == (3, 50, 33)
    assert got.dtype == (torch.bfloat16 if precision == "bfloat16" else torch.float32)
    # 70 terms of size 1: a sum of about 8, and roundings of 2^-24, 2^-9 (three times) and 1/64.
    torch.testing.assert_close(
        got.float(), plain, rtol=0, atol={"float32": 1e-4, "bfloat16": 0.15, "int8": 0.8}[precision]
    )


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("fault", ["gone", "wrong"])
def test_where_the_packed_product_is_gone_or_wrong_the_plain_one_does(monkeypatch, precision, fault):
    def gone(*_):
        raise AttributeError("no such operator")

    monkeypatch.setattr("skelrep.matmul._packed", gone if fault == "gone" else lambda *_: lambda rows: rows[:, :33])
    rows, weight, bias = torch.randn(50, 70), torch.randn(33, 70), torch.randn(33)
    product = Product(weight, bias, precision)
    assert not product.packed
    assert similar(product(rows).float(), torch.nn.functional.linear(rows, weight, bias)) > COSINE[precision]


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
    """The centred joint is always zero, so that BatchNorm multiplies it by 1 / sqrt(eps)."""
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


def test_changed_weights_are_packed_anew():
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
    # One scale of int8 for a whole batch: single clips beside a wild one lose more.
    assert cosines.min() > (COSINE[precision] if precision == "bfloat16" else 0.99)


def test_an_unknown_precision(clips):
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16, int8; got 'float16'"):
        embed(clips, precision="float16")


def test_the_modules_themselves_obey_the_autocast_around_them():
    encoder, poses = Encoder(EncoderConfig()), torch.randn(2, 1, 64, 15, 3)
    with torch.no_grad():
        exact = encoder(poses)["joint"]
        with torch.autocast("cpu", torch.bfloat16):
            rounded = encoder(poses)["joint"]
    assert similar(rounded.float(), exact) > COSINE["bfloat16"]
    assert not torch.allclose(rounded.float(), exact, rtol=1e-5, atol=1e-6)


def test_int8_is_for_cpus():
    encoder = Encoder(EncoderConfig()).to("meta")
    with pytest.raises(ValueError, match="int8 products are for CPUs; on meta take"):
        encoder.features(torch.empty(1, 1, 64, 15, 3, device="meta"), ["joint"], "int8")


def laid_out(rows: int, columns: int, order: str, gap: int) -> torch.Tensor:
    """(rows, columns) float32, in memory by rows or columns, with a gap behind each."""
    if order == "columns":
        return laid_out(columns, rows, "rows", gap).mT
    return torch.randn(rows, columns + gap)[:, :columns]


@pytest.mark.parametrize("gap", [0, 7])
@pytest.mark.parametrize("one", ["rows", "columns"])
@pytest.mark.parametrize("other", ["rows", "columns"])
def test_a_product_of_any_two_is_the_plain_one_but_for_rounding(one, other, gap):
    a, b = laid_out(30, 50, one, gap), laid_out(20, 50, other, gap)
    torch.testing.assert_close(product(a, b), a @ b.mT, rtol=0, atol=1e-4)
    many, others = torch.stack([a, -a]), torch.stack([b, b + 1])
    torch.testing.assert_close(product(many, others), many @ others.mT, rtol=0, atol=1e-4)
    torch.testing.assert_close(product(many, b), many @ b.mT, rtol=0, atol=1e-4)


def test_a_product_is_torchs_where_a_gradient_is_wanted_or_the_dtype_is_another():
    a, b = torch.randn(30, 50), torch.randn(20, 50)
    gradient = torch.autograd.grad(product(a.requires_grad_(), b).sum(), a)[0]
    torch.testing.assert_close(gradient, b.sum(dim=0).expand(30, 50))
    exact = a.detach().double(), b.double()
    assert torch.equal(product(*exact), exact[0] @ exact[1].mT)
    assert product(torch.zeros(0, 50), b).shape == (0, 20)


@pytest.mark.parametrize("fault", ["gone", "wrong"])
def test_where_the_direct_product_is_gone_or_wrong_the_plain_one_does(monkeypatch, fault):
    class Operators:
        class _linear_pointwise:
            if fault == "wrong":
                default = staticmethod(lambda rows, others, *_: 1.1 * (rows @ others.mT))

    monkeypatch.setattr(torch.ops, "mkldnn", Operators)
    _direct.cache_clear()
    try:
        assert _direct() is None
        a, b = torch.randn(30, 50), torch.randn(20, 50)
        assert torch.equal(product(a, b), a @ b.mT)
    finally:
        _direct.cache_clear()
