"""The table of events: columns, files, and errors that name the place."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelrep.recordings import Event, Events

EVENTS = Events.of(
    [
        Event("a/session", 1.0, 2.5, "squat, deep", 0.875, "left"),
        Event("b", 0.0, 1 / 3, "jump"),
        Event("b", 2, 2, "jump"),
    ]
)


def same(one: Events, other: Events) -> bool:
    """Whether two tables have the same cells, numbers to a microsecond."""
    texts = all(getattr(one, key).tolist() == getattr(other, key).tolist() for key in ("clip", "label", "person"))
    return texts and all(
        np.allclose(getattr(one, key), getattr(other, key), rtol=0, atol=1e-6, equal_nan=True)
        for key in ("start", "end", "score")
    )


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet", ".CSV"])
def test_every_format_is_read_as_it_was_written(tmp_path, suffix):
    EVENTS.save(tmp_path / f"events{suffix}")
    assert same(Events.load(tmp_path / f"events{suffix}"), EVENTS)
    Events.of([]).save(tmp_path / f"none{suffix}")
    assert len(Events.load(tmp_path / f"none{suffix}")) == 0


_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)


_seconds = st.floats(0, 1e5)
_scores = st.floats(0, 1) | st.just(math.nan)


@settings(max_examples=25)
@given(st.lists(st.tuples(_texts, _seconds, _seconds, _texts, _scores, _texts)))
def test_text_keeps_any_event(tmp_path_factory, rows):
    events = Events.of([Event(clip, start, start + length, *rest) for clip, start, length, *rest in rows])
    for suffix in (".csv", ".json", ".jsonl"):
        path = tmp_path_factory.mktemp("events") / f"events{suffix}"
        events.save(path)
        assert same(Events.load(path), events)


def test_rows_are_chosen_and_joined():
    assert [event.label for event in EVENTS[EVENTS.clip == "b"]] == ["jump", "jump"]
    assert same(Events.concatenate([EVENTS[:1], EVENTS[1:]]), EVENTS)
    assert len(Events.concatenate([])) == 0
    assert repr(EVENTS) == "Events(3 events of 2 clips: jump, squat, deep)"
    assert EVENTS.row(1).person == "" and math.isnan(EVENTS.row(1).score)


def test_a_table_of_ones_own_needs_only_start_and_end(tmp_path):
    (tmp_path / "own.csv").write_text("\ufeffend,start,note\n2,1,first\n4.5,3,\n", encoding="utf-8")
    events = Events.load(tmp_path / "own.csv")
    assert events.start.tolist() == [1, 3] and events.end.tolist() == [2, 4.5]
    assert events.label.tolist() == ["", ""] and np.isnan(events.score).all()


@pytest.mark.parametrize(
    ("name", "text", "facts"),
    [
        ("a.csv", "start,end\n1,2\nx,3\n", ("line 3", "start", "'x'")),
        ("a.csv", "begin,end\n1,2\n", ("'start'", "begin")),
        ("a.csv", "start,end\n3,2\n", ("line 2", "3", "2")),
        ("a.csv", "start,end\n3,\n", ("line 2", "3")),
        ("a.json", "{", ("a.json",)),
        ("a.json", '{"start": 1}', ("a.json", "list")),
        ("a.json", '[{"start": 1, "end": [2]}]', ("event 1", "[2]")),
        ("a.jsonl", '{"start": 1, "end": 2}\n{"start": 1, "end": 0}\n', ("line 2",)),
        ("a.parquet", "no parquet", ("a.parquet",)),
        ("a.txt", "", (".csv", "a.txt")),
    ],
)
def test_errors_name_the_file_and_the_line(tmp_path, name, text, facts):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError) as error:
        Events.load(tmp_path / name)
    assert all(fact in str(error.value) for fact in facts)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    EVENTS.save(tmp_path / "events.json")
    with pytest.raises(ValueError, match="xlsx"):
        EVENTS.save(tmp_path / "events.xlsx")
    with pytest.raises(OSError, match="missing"):
        Events.load(tmp_path / "missing.csv")
    assert len(json.loads((tmp_path / "events.json").read_text())) == 3


@pytest.mark.parametrize("column", ["start", "label"])
def test_columns_must_agree(column):
    columns = dict(EVENTS.columns())
    with pytest.raises(ValueError, match=r"\(2,\)"):
        Events(**columns | {column: columns[column][:2]})
    with pytest.raises(ValueError, match="from 3 to 2.5"):
        Events(**columns | {"start": np.array([3.0, 0, 0])})
