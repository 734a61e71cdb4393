"""Clusters, their number, and the clips that represent them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from skelrep.libraries import Library, cluster
from tests.recordings.made_up import clips_of


def bundles(
    sizes: tuple[int, ...], spread: float = 0.25, dim: int = 20, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Rows in bundles of these sizes, of any length, in random order; and the bundle of each."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = rng.normal(size=(len(sizes), dim))
    rows = points[codes] + spread * rng.normal(size=(len(codes), dim))
    return (rows * rng.uniform(0.5, 2, size=(len(codes), 1))).astype(np.float32), codes


@pytest.mark.parametrize("sizes", [(40, 25, 10), (30, 30, 30, 30, 30, 12, 9)])
def test_the_number_of_bundles_is_found(sizes):
    rows, codes = bundles(sizes)
    found = cluster(rows)
    assert adjusted_rand_score(codes, found.cluster) > 0.98
    assert np.bincount(found.cluster)[1:].tolist() == sorted(sizes, reverse=True)
    assert found.protocol["k"] == len(sizes) and found.protocol["chosen"] != "given"


@pytest.mark.parametrize("k", [1, 2, 5])
def test_a_medoid_has_the_smallest_mean_distance_to_its_cluster(k):
    rows, _ = bundles((30, 20, 8), spread=0.5)
    found = cluster(rows, k=k)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    distances = 1 - unit @ unit.T
    assert sorted(set(found.cluster.tolist())) == list(range(1, k + 1))
    for number in range(1, k + 1):
        members = np.flatnonzero(found.cluster == number)
        within = distances[np.ix_(members, members)].mean(axis=0)
        [medoid] = members[found.is_medoid[members]]
        assert within[members == medoid] <= within.min() + 1e-6
        np.testing.assert_allclose(found.distance[members], distances[members, medoid], atol=1e-5)


def test_clips_of_one_movement_are_in_one_cluster(tiny_encoder, tmp_path):
    poses = clips_of(("squat", "kick", "wave"), 6)
    found = cluster(poses, k=3)
    assert adjusted_rand_score(poses.labels, found.cluster) == 1
    again = cluster(Library.of(poses), k=3)
    assert again.cluster.tolist() == found.cluster.tolist()
    found.save(tmp_path / "clusters.json")
    rows = json.loads((tmp_path / "clusters.json").read_text())
    assert [row["id"] for row in rows] == poses.ids and sum(row["is_medoid"] for row in rows) == 3
    assert json.loads(json.dumps(found.to_dict()))["protocol"]["n_clips"] == 18
    assert "18 clips in 3 clusters" in str(found)


def test_equal_rows_and_few_rows():
    rows = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    assert cluster(rows).protocol["k"] == 3
    assert cluster(rows[:1]).cluster.tolist() == [1]
    assert cluster(rows[:2]).protocol["k"] == 1
    assert sorted(cluster(rows[[0, 5, 10]], k=3).cluster.tolist()) == [1, 2, 3]


@pytest.mark.parametrize("k", [0, 11, 2.5, True])
def test_an_impossible_number_is_refused(k):
    with pytest.raises(ValueError, match=f"k={k!r} must be a whole number between 1 and the 10"):
        cluster(np.random.default_rng(0).normal(size=(10, 4)), k=k)
