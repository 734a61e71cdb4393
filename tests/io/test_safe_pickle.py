"""The unpickler reads data of every protocol, and no content of a file makes it do anything else."""

import collections
import copyreg
import os
import pickle
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from skelrep.io import safe_pickle as unpickler
from skelrep.io.safe_pickle import load_pickle

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "mmaction"
PROTOCOLS = range(6)


@pytest.fixture
def load(tmp_path):
    def load(stream: bytes):
        path = tmp_path / "file.pkl"
        path.write_bytes(stream)
        return load_pickle(path)

    return load


# -- what is data is read ---------------------------------------------------------------------------------------------

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=300),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)
numbers = npst.arrays(
    st.one_of(
        npst.boolean_dtypes(),
        npst.integer_dtypes(endianness="?"),
        npst.unsigned_integer_dtypes(),
        npst.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
        npst.complex_number_dtypes(sizes=(64, 128)),
        npst.unicode_string_dtypes(max_len=5),
        npst.byte_string_dtypes(max_len=5),
    ),
    npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
in_a_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


@in_a_folder
@given(plain, st.sampled_from(PROTOCOLS))
def test_plain_data(load, value, protocol):
    assert load(pickle.dumps(value, protocol)) == value


@in_a_folder
@given(numbers, st.sampled_from(PROTOCOLS), st.sampled_from(["C", "F", "reversed"]))
def test_arrays(load, array, protocol, order):
    array = array.T if order == "reversed" else np.array(array, order=order)
    back = load(pickle.dumps([array, array], protocol))
    np.testing.assert_array_equal(back[0], array)
    assert back[0].dtype.newbyteorder("=") == array.dtype.newbyteorder("=")  # numpy may swap bytes
    assert back[0] is back[1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scalars_objects_and_order(load, protocol):
    value = collections.OrderedDict(
        a=np.float32(1.5),
        b=np.bool_(True),
        c=np.str_("ab"),
        d=np.array(["x", 1, None, 2.5], dtype=object),
        e=np.ones((2, 3, 4)).transpose(1, 0, 2),
        f=b"",
    )
    back = load(pickle.dumps(value, protocol))
    assert list(back) == list("abcdef")
    for key in value:
        assert type(back[key]) is type(value[key])
        np.testing.assert_array_equal(back[key], value[key])


@pytest.mark.parametrize("protocol", (0, 1, 2))
def test_numpy_1_names(load, protocol):
    stream = pickle.dumps([np.arange(3), np.float64(2)], protocol)
    assert b"numpy._core.multiarray" in stream or b"numpy.core.multiarray" in stream
    for names in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        back = load(stream.replace(b"numpy._core.multiarray", names))
        assert back[0].tolist() == [0, 1, 2]
        assert back[1] == 2


def test_python_2(load):
    """Written by Python 2.7 with numpy 1.16 (cPickle of protocol 0, pickle of protocol 2)."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntS'b'\ntRp4\n(I1\n(I2\nI2\ntcnumpy\ndtype\n"
        b"p5\n(S'f4'\nI0\nI1\ntRp6\n(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI01\n"
        b"S'\\x00\\x00\\xc0?\\x00\\x00\\x00\\xc0\\x00\\x00@@\\x00\\x00\\x80@'\ntb."
    )
    assert load(array).tolist() == [[1.5, 3.0], [-2.0, 4.0]]
    labels = b"\x80\x02]q\x00(U\x04S001q\x01U\x03\xe9t\xe9q\x02e]q\x03(K\x00K\x01e\x86q\x04."
    assert load(labels) == (["S001", "été"], [0, 1])
    ordered = b"ccollections\nOrderedDict\np0\n((lp1\n(lp2\nS'a'\np3\naL1L\naa(lp4\nS'b'\np5\na(lp6\naatp7\nRp8\n."
    assert load(ordered) == {"a": 1, "b": []}


# -- what is not is refused -------------------------------------------------------------------------------------------


def name(module: str, attribute: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{attribute}\n".encode()


def stacked(module: str, attribute: str) -> bytes:
    """STACK_GLOBAL, whose names may be dotted."""
    return value(module) + value(attribute) + b"\x93"


def value(plain: object) -> bytes:
    """The opcodes that leave a plain value on the stack."""
    return pickle.dumps(plain, 2)[2:-1]


def pair(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


NDARRAY, DTYPE = name("numpy", "ndarray"), name("numpy", "dtype")
BLANK = name("numpy.core.multiarray", "_reconstruct") + pair(NDARRAY, value((0,)), value("b")) + b"R"
SCALAR = name("numpy.core.multiarray", "scalar")
FROM_BUFFER = name("numpy.core.numeric", "_frombuffer")
PLAIN_STATE = value((3, "<", None, None, None, -1, -1, 0))


def dtype(code: str, state: bytes = PLAIN_STATE) -> bytes:
    return DTYPE + value((code, False, True)) + b"R" + state + b"b"


def array(shape: object, code: str, raw: object, dtype_state: bytes = PLAIN_STATE) -> bytes:
    return BLANK + pair(value(1), value(shape), dtype(code, dtype_state), value(False), value(raw)) + b"b"


class Calls:
    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_executed(load, tmp_path, protocol):
    canary = tmp_path / "canary"
    for call in (
        Calls(os.system, f"touch {canary}"),
        Calls(eval, f"open({str(canary)!r}, 'w')"),
        Calls(exec, f"open({str(canary)!r}, 'w')"),
        Calls(subprocess.Popen, ["touch", str(canary)]),
        Calls(__import__, "os"),
        Calls(getattr, "", "join"),
        Calls(Path.touch, canary),
    ):
        with pytest.raises(ValueError, match=r"file.pkl asks for '.+'; only numpy.* nothing in this one was executed"):
            load(pickle.dumps({"keypoint": [np.zeros(3), call]}, protocol))
    assert not canary.exists()


def test_names_are_exact(load):
    for stream, named in {
        name("os", "system"): "os.system",
        stacked("numpy", "ndarray.__class__"): "numpy.ndarray.__class__",
        stacked("numpy.core.multiarray", "_reconstruct.__globals__"): "numpy.core.multiarray._reconstruct.__globals__",
        stacked("numpy", "dtype.__class__.__subclasses__"): "numpy.dtype",
        stacked("builtins", "getattr"): "builtins.getattr",
        name("numpy", "load"): "numpy.load",
        name("numpy", "memmap"): "numpy.memmap",
        name("numpy", "core.multiarray"): "numpy.core.multiarray",
        name("_codecs", "lookup"): "_codecs.lookup",
        name("copyreg", "_reconstructor"): "copyreg._reconstructor",
        name("skelrep.io.safe_pickle", "load_pickle"): "skelrep.io.safe_pickle.load_pickle",
        name("torch._utils", "_rebuild_tensor_v2"): "torch._utils._rebuild_tensor_v2",
    }.items():
        with pytest.raises(ValueError, match=f"asks for '{named}"):
            load(stream + b".")
    with pytest.raises(ValueError, match=r"asks for 'os\\n\\x1b.system'"):  # nor can a name forge lines of a log
        load(stacked("os\n\x1b", "system") + b".")


def test_extension_codes_and_their_cache(load):
    copyreg.add_extension("os", "system", 0x7B)
    try:
        assert pickle.loads(b"\x80\x02\x82\x7b.")  # the cache now answers without find_class being asked
        for code in (b"\x82\x7b", b"\x83\x7b\x00", b"\x84\x7b\x00\x00\x00"):
            with pytest.raises(ValueError, match="uses pickle opcode"):
                load(b"\x80\x02" + code + pair(value("exit 1")) + b"R.")
    finally:
        copyreg.remove_extension("os", "system", 0x7B)


@pytest.mark.parametrize(
    "stream",
    [
        b"P123\n.",
        b"K\x01Q.",
        b"(S'exit 1'\nios\nsystem\n.",  # INST
        b"(" + DTYPE + value("f4") + b"o.",  # OBJ
        NDARRAY + value(((1,),)) + b"\x81.",  # NEWOBJ
        NDARRAY + value(((1,),)) + value({}) + b"\x92.",  # NEWOBJ_EX
        b"\x80\x05\x97.",  # NEXT_BUFFER
        b"\x80\x04\x8f(K\x01\x90.",  # a set
    ],
)
def test_opcodes_that_data_does_not_need(load, stream):
    with pytest.raises(ValueError, match="uses pickle opcode"):
        load(stream)


FORGED = [  # each of these makes numpy itself lay Python objects over bytes of the file's choosing
    (NDARRAY + pair(value((1,)), value("O"), value(b"A" * 16)) + b"R", "calls a object"),
    (FROM_BUFFER + pair(value(b"A" * 16), dtype("O8"), value((2,)), value("C")) + b"R", "array of objects over bytes"),
    (SCALAR + pair(dtype("O8"), value(b"A" * 8)) + b"R", "array of objects over bytes"),
    (array((1,), "O8", b"A" * 8), "objects that are not numbers"),
    (DTYPE + value(("V8", False, True)) + b"R", "neither numbers nor strings"),
    (DTYPE + value(("O,O", False, True)) + b"R", "neither numbers nor strings"),
    (DTYPE + value(([("a", "O")],)) + b"R", "neither numbers nor strings"),
    (dtype("f4", value((3, "|", (3, (4,)), None, None, 4, 1, 63))), "structured"),
    (dtype("f4", value((3, "|", None, ("a",), {"a": 3}, 4, 1, 63))), "structured"),
]


@pytest.mark.parametrize(("stream", "reason"), FORGED)
def test_numpy_cannot_be_made_to_forge_objects(load, stream, reason):
    with pytest.raises(ValueError, match=reason):
        load(stream + b".")


def test_numpy_itself_would_be_unsafe():
    """The reason for all this: the real ndarray takes bytes for pointers."""
    assert np.ndarray((1,), object, bytearray(8))[0] is None


def test_arrays_of_objects_hold_scalars_only(load):
    assert load(array((2,), "O8", ["a", 1]) + b".").tolist() == ["a", 1]
    for item in ([1], {}, (1,)):
        with pytest.raises(ValueError, match="objects that are not numbers or strings"):
            load(array((1,), "O8", [item]) + b".")
    nested = np.empty(2, dtype=object)
    nested[:] = [np.zeros(2), np.zeros(3)]
    with pytest.raises(ValueError, match="objects that are not numbers or strings"):
        load(pickle.dumps(nested))


def test_state_is_set_on_blank_arrays_only(load):
    before = {key: getattr(unpickler._reconstruct, key) for key in ("__code__", "__defaults__", "__dict__")}
    for target in (
        name("numpy.core.multiarray", "_reconstruct"),
        name("collections", "OrderedDict") + b")R",
        NDARRAY,
        value([1]),
        array((2,), "i1", b"ab"),  # once filled, never again
        FROM_BUFFER + pair(value(b"ab"), dtype("i1"), value((2,)), value("C")) + b"R",
    ):
        for state in (value((None, {"__defaults__": (1,), "__dict__": {}})), value((1, (2,), "i1", False, b"ab"))):
            with pytest.raises(ValueError, match="sets the state of a"):
                load(target + state + b"b.")
    assert {key: getattr(unpickler._reconstruct, key) for key in before} == before


def test_calls_go_to_the_listed_functions_only(load):
    for target in (NDARRAY, value("eval"), dtype("f4"), BLANK, value([])):
        with pytest.raises(ValueError, match="calls a"):
            load(target + pair(value("1")) + b"R.")
    with pytest.raises(ValueError, match="another encoding"):
        load(name("_codecs", "encode") + pair(value("eJw"), value("zip")) + b"R.")
    with pytest.raises(ValueError, match="not numpy.ndarray"):
        load(name("numpy.core.multiarray", "_reconstruct") + pair(DTYPE, value((0,)), value("b")) + b"R.")


@pytest.mark.parametrize(
    "stream",
    [
        array((2**62,), "f4", b""),
        array((2**32, 2**32), "i1", b""),
        array((-1,), "i1", b"a"),
        array((3,), "f4", b"12345678"),
        array([2], "i1", b"ab"),
        array((1,) * 40, "i1", b"a"),
        array((2**62,), "U0", b""),
        array((10**9,), "O8", []),
        SCALAR + pair(dtype("f8"), value(b"1234")) + b"R",
    ],
)
def test_absurd_shapes(load, stream):
    with pytest.raises(ValueError, match="contains an array"):
        load(stream + b".")


def test_memory_bombs(load):
    text = value("x" * 10_000) + b"q\x010"  # memoised, and copied again and again by calls of a few bytes
    call = name("_codecs", "encode") + pair(b"h\x01", value("latin1")) + b"R"
    with pytest.raises(ValueError, match="makes more data than it has bytes"):
        load(text + b"](" + call * 2000 + b"e.")
    for huge in (b"\x8e", b"\x96"):  # BINBYTES8, BYTEARRAY8
        for size in (2**36, 2**62, 2**64 - 1):
            with pytest.raises(ValueError, match="damaged"):
                load(b"\x80\x05" + huge + struct.pack("<Q", size) + b"abc.")


def test_keys_cannot_overflow_the_stack(load):
    with pytest.raises(ValueError, match="has a tuple as key"):
        load(b"\x80\x02})" + b"\x85" * 200_000 + b"K\x01s.")
    with pytest.raises(ValueError, match="sets items of something that is not a dict"):
        load(array((2,), "i1", b"ab") + value(0) + value(1) + b"s.")


@pytest.mark.parametrize("stream", [b"", b".", b"hello", b"\x80\x02]", b"\x80\x09.", b"e.", b"(.", b"\xff.", b"g7\n."])
def test_damaged_streams(load, stream):
    with pytest.raises(ValueError, match=r"file\.pkl (is damaged or not a pickle|uses pickle opcode)"):
        load(stream)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_a_value_error(load, data):
    value = {"a": np.arange(6.0).reshape(2, 3), "b": ["x", np.float32(1)]}
    stream = bytearray(pickle.dumps(value, data.draw(st.sampled_from(PROTOCOLS))))
    for position in data.draw(st.lists(st.integers(0, len(stream) - 1), min_size=1, max_size=4)):
        stream[position] = data.draw(st.integers(0, 255))
    try:
        load(bytes(stream))
    except ValueError as error:
        assert "file.pkl" in str(error)  # noqa: PT017 - many damages leave readable data


@pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no real files at {FIXTURES}")
def test_real_files():
    for scores in ("joint.pkl", "bone.pkl"):
        with pytest.raises(ValueError, match=rf"{scores} asks for 'torch\._utils\._rebuild_tensor_v2'"):
            load_pickle(FIXTURES / scores)
    sample = load_pickle(FIXTURES / "sample.pkl")
    assert len(sample["annotations"]) == len(sample["split"]["train"]) == 100
    assert sample["annotations"][0]["box_score"].dtype == np.float16
