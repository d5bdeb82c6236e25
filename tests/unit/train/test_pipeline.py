"""A train pipeline's name says its image and resources, within Pachyderm's limits."""

from functions.train.pipeline import pipeline_name
from shared.runs import Options

DIGEST = "e23a2f1" + "0" * 57


def test_a_plain_training_is_named_by_its_image() -> None:
    assert pipeline_name(DIGEST, Options()) == "train-e23a2f1"


def test_other_resources_are_another_pipeline() -> None:
    names = {pipeline_name(DIGEST, options) for options in (Options(), Options(cpu=1), Options(cpu=2), Options(gpu=1))}
    assert len(names) == 4
    assert all(len(name) <= 51 for name in names)


def test_training_again_is_a_pipeline_of_its_own() -> None:
    assert pipeline_name(DIGEST, Options(), again="01a") != pipeline_name(DIGEST, Options(), again="01b")
