"""Model cards, as people and the Hub read them."""

import pytest
import yaml

from skelrep.encoder import Encoder, EncoderConfig
from skelrep.hub import bundled, load_pretrained, model_card
from skelrep.hub import load as skelrep_hub
from skelrep.hub.load import CARD
from tests.hub.saved import TRAINING

# -- model cards ------------------------------------------------------------------------------------------------------


def front_matter(card: str) -> dict:
    start, front, _ = card.split("---\n", 2)
    assert start == ""
    return yaml.safe_load(front)


def test_the_card_of_an_untrained_encoder(tiny_encoder):
    card = model_card(tiny_encoder)
    front = front_matter(card)
    assert front == {
        "library_name": "skelrep",
        "pipeline_tag": "feature-extraction",
        "tags": ["skeleton", "action-recognition", "self-supervised", "i2md"],
    } | ({"model_name": front["model_name"]} if "model_name" in front else {})
    for word in ("common-15", "left_shoulder", "64 frames", "load_pretrained", str(tiny_encoder.dim)):
        assert word in card
    for word in ("## Results", "## Training", "## Licence", "None"):
        assert word not in card


def test_the_card_of_a_trained_encoder(tiny_config):
    card = model_card(Encoder(EncoderConfig(backbone=tiny_config.backbone, training=TRAINING)), name="lab/encoder")
    front = front_matter(card)
    assert front["license"] == "cc-by-4.0"
    assert front["datasets"] == ["bandai-namco-2", "org/set"]
    assert front["metrics"] == ["accuracy"]
    (index,) = front["model-index"]
    assert index["name"] == "encoder"
    metrics = [metric for result in index["results"] for metric in result["metrics"]]
    assert [metric["value"] for metric in metrics] == [81.25, 88.5]
    assert {metric["type"] for metric in metrics} == {"accuracy"}
    assert "cross-subject" in metrics[0]["name"]
    assert {result["dataset"]["name"] for result in index["results"]} == {"UTD-MHAD"}
    assert "| UTD-MHAD | cross-subject | 1-NN accuracy | 81.25 ± 0.4 |" in card
    assert "| Bandai-Namco 2 | CC BY-NC 4.0 | 3.2 |  |" in card
    assert "x\\|y" in card
    assert "- Bad at hands: it sees none." in card
    assert "I2MD for 60 epochs: on one CPU." in card


def test_the_hubs_own_client_reads_the_card(tiny_config):
    from huggingface_hub import EvalResult, ModelCard

    encoder = Encoder(EncoderConfig(backbone=tiny_config.backbone, training=TRAINING))
    card = ModelCard(model_card(encoder, name="lab/encoder"))
    assert (card.data.license, card.data.library_name, card.data.model_name) == ("cc-by-4.0", "skelrep", "encoder")
    assert card.data.datasets == ["bandai-namco-2", "org/set"]
    assert card.data.pipeline_tag == "feature-extraction"
    read = card.data.eval_results
    assert all(isinstance(result, EvalResult) for result in read)
    assert [(one.dataset_name, one.dataset_type, one.metric_type) for one in read] == [
        ("UTD-MHAD", "utd-mhad", "accuracy")
    ] * 2
    assert [(one.metric_value, one.metric_name) for one in read] == [
        (81.25, "1-NN accuracy (cross-subject)"),
        (88.5, "accuracy (linear: frozen)"),
    ]
    assert 'load_pretrained("lab/encoder")' in card.text
    again = ModelCard(str(card))
    assert again.data.to_dict() == card.data.to_dict()


def test_cards_of_bundled_encoders_are_read_by_the_hubs_client():
    from huggingface_hub import ModelCard

    for name in bundled():
        card = ModelCard.load(skelrep_hub.PRETRAINED / name / CARD)
        training = load_pretrained(name, device="cpu").config.training
        assert card.data.license == training["license"] and len(card.data.datasets) == len(training["data"])
        assert sorted(r.metric_value for r in card.data.eval_results) == sorted(r["value"] for r in training["results"])


def test_a_card_survives_awkward_words(tiny_config):
    training = TRAINING | {
        "license": "other: 'quoted' # not a comment",
        "data": [{"name": "a: b\n- c"}],
        "results": [TRAINING["results"][0] | {"dataset": '"NTU": RGB+D {60}', "protocol": "--- é"}],
    }
    front = front_matter(model_card(Encoder(EncoderConfig(backbone=tiny_config.backbone, training=training)), name="x"))
    assert front["license"] == training["license"]
    assert front["model-index"][0]["results"][0]["dataset"] == {"name": '"NTU": RGB+D {60}', "type": "ntu-rgb-d-60"}


@pytest.mark.parametrize(
    "training",
    [{"results": 3}, {"results": [{"dataset": "x"}]}, {"data": ["NTU"]}, {"notes": "good"}, {"hyper_parameters": [1]}],
)
def test_a_card_names_the_key_that_it_cannot_read(tiny_config, training):
    with pytest.raises(ValueError, match=next(iter(training))):
        model_card(Encoder(EncoderConfig(backbone=tiny_config.backbone, training=training)))
