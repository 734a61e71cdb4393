"""Products by oneDNN against plain ones, with as many threads as OpenMP starts."""

import os
import subprocess
import sys

import pytest
import torch

from skelrep import matmul
from skelrep.matmul import PRECISIONS, Product, check_products, product

# Cosine to the plain float32 network, at the least.
COSINE = {"float32": 1 - 1e-6, "bfloat16": 0.9999, "int8": 0.999}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


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
def test_plain_product_replaces_a_missing_or_wrong_packed_product(monkeypatch, precision, fault):
    def gone(*_):
        raise AttributeError("no such operator")

    monkeypatch.setattr("skelrep.matmul._packed", gone if fault == "gone" else lambda *_: lambda rows: rows[:, :33])
    rows, weight, bias = torch.randn(50, 70), torch.randn(33, 70), torch.randn(33)
    product = Product(weight, bias, precision)
    assert not product.packed
    assert similar(product(rows).float(), torch.nn.functional.linear(rows, weight, bias)) > COSINE[precision]


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


@pytest.fixture
def compared_anew():
    """Nothing of an earlier comparison is remembered, nor of this one afterwards."""
    matmul._right.cache_clear()
    yield
    matmul._right.cache_clear()


@pytest.mark.usefixtures("compared_anew")
@pytest.mark.parametrize("fault", ["gone", "wrong"])
def test_plain_product_replaces_a_missing_or_wrong_onednn_product(monkeypatch, fault):
    class Operators:
        class _linear_pointwise:
            if fault == "wrong":
                default = staticmethod(lambda rows, others, *_: 1.1 * (rows @ others.mT))

    monkeypatch.setattr(torch.ops, "mkldnn", Operators)
    a, b = torch.randn(30, 50), torch.randn(20, 50)
    assert torch.equal(product(a, b), a @ b.mT)


@pytest.mark.usefixtures("compared_anew")
def test_wrong_plain_products_raise_an_error(monkeypatch):
    right = torch.nn.functional.linear

    def half(rows, weight, bias=None):
        out = right(rows, weight, bias)
        out[len(out) // 2 :] = 0  # what a thread that was never started would have computed
        return out

    monkeypatch.setattr(torch.nn.functional, "linear", half)
    for use in (lambda: Product(torch.ones(3, 4), torch.ones(3)), lambda: product(torch.ones(5, 4), torch.ones(3, 4))):
        with pytest.raises(OSError, match="OMP_DYNAMIC.*OMP_NUM_THREADS=1"):
            use()


def test_products_are_compared_again_when_the_number_of_threads_changes(monkeypatch):
    counts = []
    right = matmul._right
    monkeypatch.setattr(matmul, "_right", lambda settings: counts.append(settings.threads) or right(settings))
    rows, weight, bias = torch.randn(50, 70), torch.randn(33, 70), torch.randn(33)
    made = Product(weight, bias)
    made(rows), made(rows)
    assert counts == [1]
    torch.set_num_threads(2)
    try:
        torch.testing.assert_close(made(rows), torch.nn.functional.linear(rows, weight, bias), rtol=0, atol=1e-4)
        product(rows, weight)
    finally:
        torch.set_num_threads(1)
    assert counts == [1, 2, 2]


PRODUCTS = """
import numpy as np, torch
from skelrep import matmul

generator = torch.Generator().manual_seed(0)
rows, weight = torch.randn(2000, 45, generator=generator), torch.randn(60, 45, generator=generator)
expected = torch.from_numpy(rows.numpy() @ weight.numpy().T)
for precision, tolerance in {"float32": 1e-4, "bfloat16": 0.3, "int8": 1.5}.items():
    made = matmul.Product(weight, torch.zeros(60), precision)
    assert (made(rows) - expected).abs().max() < tolerance, precision
    print(precision, made.packed)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        assert (made(rows) - expected).abs().max() < tolerance, precision
assert (matmul.product(rows, weight) - expected).abs().max() < 1e-4
assert (matmul.product(rows.bfloat16(), weight.bfloat16()) - expected).abs().max() < 0.3
"""


def in_a_process(script: str, **variables: str) -> str:
    variables = {**os.environ, "OMP_NUM_THREADS": "2", **variables}
    found = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("variables", [{"OMP_DYNAMIC": "true"}, {"OMP_THREAD_LIMIT": "1"}], ids=str)
def test_products_are_right_where_openmp_delivers_fewer_threads(variables):
    out = in_a_process(PRODUCTS, **variables)
    assert out.split() == ["float32", "False", "bfloat16", "False", "int8", "True"]


@pytest.mark.slow
def test_the_comparison_alone_finds_threads_that_are_missing_and_training_is_refused():
    unaware = "from skelrep import matmul; matmul._openmp = lambda: None; matmul._THREAD_LIMIT = None\n"
    training = "try: matmul.check_products()\nexcept OSError as error: print('OMP_DYNAMIC' in str(error))"
    out = in_a_process(unaware + PRODUCTS + training, OMP_THREAD_LIMIT="1")
    assert out.split() == ["float32", "False", "bfloat16", "False", "int8", "True", "True"]


@pytest.mark.slow
def test_an_environment_variable_turns_private_products_off():
    out = in_a_process(PRODUCTS, SKELREP_PLAIN_MATMUL="1")
    assert out.split() == ["float32", "False", "bfloat16", "False", "int8", "False"]


def test_the_interface_of_pytorch_is_used_where_it_is_right():
    assert Product(torch.randn(33, 70), torch.randn(33)).packed
    check_products()
