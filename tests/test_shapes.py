"""Shapes in annotations are checked during tests, and wrong shapes are found."""

import numpy as np
import pytest
import torch

from skelrep.encoder.convolution import ConvolutionConfig
from skelrep.encoder.modalities import modality
from tests.shapes import check


def test_wrong_shapes_are_found():
    network = ConvolutionConfig(width=4, blocks=1).build(15, 2, 64)
    poses = torch.zeros(3, 2, 64, 15, 3)
    assert network(poses, torch.ones(3, 2, dtype=torch.bool)).shape == (3, 16)
    with pytest.raises(AssertionError, match=r"forward: present has \(4, 2\)"):
        network(poses, torch.ones(4, 2, dtype=torch.bool))
    with pytest.raises(AssertionError, match="forward: poses"):
        network(poses[..., :2])
    with pytest.raises(AssertionError, match="modality: joints"):
        modality("joint", torch.zeros(15, 3), range(15))


@pytest.mark.parametrize(
    ("spec", "shape", "fits"),
    [
        ("N 3", (5, 3), True),
        ("N 3", (5, 2), False),
        ("N N", (4, 5), False),
        ("... T", (1, 2, 7), True),
        ("N", (), False),
    ],
)
def test_specs(spec, shape, fits):
    if fits:
        check("x", spec, np.zeros(shape), {})
    else:
        with pytest.raises(AssertionError):
            check("x", spec, np.zeros(shape), {})
