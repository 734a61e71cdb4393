"""Drawing few labels: sizes, classes, groups and randomness."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from skelrep.train import few_labels
from skelrep.train.few_labels import subset


@pytest.mark.parametrize("fraction", [0.001, 0.03, 0.1, 0.25, 0.5, 1.0])
def test_subset_has_its_size_and_equally_many_of_each_class(fraction):
    labels = np.array(["a", "b", "c", "d"])[np.arange(203) % 4]
    chosen = subset(labels, fraction, 0)
    assert len(chosen) == max(round(fraction * 203), 4)
    assert np.array_equal(chosen, np.unique(chosen))
    counts = [np.sum(labels[chosen] == name) for name in "abcd"]
    assert min(counts) >= 1 and max(counts) - min(counts) <= 1


def test_small_classes_are_included_and_large_ones_fill_the_rest():
    labels = np.repeat([0, 1, 2], [1, 3, 96])
    assert np.bincount(labels[subset(labels, 0.01, 0)]).tolist() == [1, 1, 1]
    assert np.bincount(labels[subset(labels, 0.2, 0)]).tolist() == [1, 3, 16]


def test_subsets_depend_on_the_seed_and_those_of_a_seed_are_nested():
    labels = np.arange(100) % 5
    assert np.array_equal(subset(labels, 0.2, 3), subset(labels, 0.2, 3))
    assert not np.array_equal(subset(labels, 0.2, 3), subset(labels, 0.2, 4))
    assert set(subset(labels, 0.1, 3)) < set(subset(labels, 0.2, 3))


def test_every_clip_is_drawn_with_equal_probability():
    labels = np.repeat([0, 1], [10, 10])
    drawn = np.bincount(np.concatenate([subset(labels, 0.2, seed) for seed in range(2000)]), minlength=20)
    assert np.abs(drawn / 2000 - 0.2).max() < 0.045  # five standard deviations of a fraction of 0.2


def test_subsets_include_every_group():
    labels, groups = np.repeat([0, 1], 40), np.tile(np.repeat(["x", "y", "z", "w"], 10), 2)
    chosen = subset(labels, 0.1, 0, groups)
    assert sorted(zip(labels[chosen].tolist(), groups[chosen].tolist())) == [
        (label, group) for label in (0, 1) for group in "wxyz"
    ]


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5, 20])
def test_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ValueError, match="at most 1"):
        subset([0, 1], fraction, 0)


def test_docstring_example():
    failed, tried = doctest.testmod(few_labels)
    assert tried > 0 and failed == 0
