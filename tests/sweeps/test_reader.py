import jax
import jax.numpy as jnp
import pytest

from momentum_optax.sweeps.points.reader import Reader

VALUES = {"learning_rate": jnp.float32(0.1), "beta": jnp.float32(0.9), "method": "sgd", "nesterov": True}


@pytest.mark.parametrize(
    ("look", "read"),
    [
        (lambda hp: hp["beta"], {"beta"}),
        (lambda hp: hp.get("beta"), {"beta"}),
        (lambda hp: hp.get("decay", 0.0), {"decay"}),
        (lambda hp: "beta" in hp, {"beta"}),
        (len, set()),
        (repr, set()),
        (lambda hp: dict(hp), set(VALUES)),
        (lambda hp: dict(**hp), set(VALUES)),
        (lambda hp: {**hp}, set(VALUES)),
        (lambda hp: list(hp), set(VALUES)),
        (lambda hp: hp.items(), set()),
        (lambda hp: list(hp.items()), set(VALUES)),
        (lambda hp: list(hp.values()), set(VALUES)),
        (lambda hp: hp | {"decay": 1.0}, set(VALUES)),
        (lambda hp: {"decay": 1.0} | hp, set(VALUES)),
        (lambda hp: jax.jit(lambda inner: inner["beta"])(hp), set(VALUES)),
    ],
)
def test_it_notes_what_is_read(look, read):
    hp = Reader(VALUES)
    look(hp)
    assert hp.read == read


def test_what_is_missing_is_named_beside_what_there_is():
    with pytest.raises(KeyError, match=r"asks for hyperparameter 'decay'.*\['beta', 'learning_rate', 'meth"):
        Reader(VALUES)["decay"]
    assert Reader(VALUES).get("decay", 0.5) == 0.5


def test_it_is_a_mapping_that_cannot_be_written():
    hp = Reader(VALUES)
    assert (hp == VALUES, len(hp), "decay" in hp) == (True, 4, False)
    assert (hp | {"beta": 1}, {"beta": 1} | hp) == ({**VALUES, "beta": 1}, VALUES)
    with pytest.raises(TypeError, match="item assignment"):
        hp["beta"] = 0.5


def test_several_readers_share_what_they_note():
    read = set()
    Reader(VALUES, read)["beta"], Reader(VALUES, read)["method"]
    assert read == {"beta", "method"}


def test_jax_sees_numbers_as_leaves_and_the_rest_as_structure():
    hp = Reader(VALUES)
    assert [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(hp)] == [
        "['learning_rate']",
        "['beta']",
    ]
    assert jax.tree.map(lambda x: x, hp) == VALUES

    @jax.jit
    def step(hp, x):
        assert hp["method"] == "sgd"
        assert hp["nesterov"] is True
        return x - hp["learning_rate"]

    assert float(step(hp, 1.0)) == pytest.approx(0.9)
    many = jax.vmap(lambda hp: hp["learning_rate"] * 2)(
        Reader({**VALUES, "learning_rate": jnp.ones(3), "beta": jnp.ones(3)})
    )
    assert many.tolist() == [2, 2, 2]
