"""A train pipeline's name says its image and resources, within Pachyderm's limits; idle, it holds none of these."""

from typing import Any

from functions.train.inputs import Input, Inputs
from functions.train.pipeline import create_pipeline, pipeline_name
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


def test_an_idle_pipeline_holds_no_gpu() -> None:
    """Pachyderm lets pipelines with `autoscaling` have workers only while they have jobs."""
    image = Input("build", "1" * 32, "mnist:e23a2f1")
    inputs = Inputs(image, f"mnist@sha256:{DIGEST}", DIGEST, Input("data", "2" * 32, ""), Input("params", "3" * 32, ""))
    client: Any = _Client()
    create_pipeline(client, "mnist", "train-e23a2f1", inputs, Options(gpu=1))
    assert client.asked["resource_limits"].gpu.number == 1
    assert client.asked["autoscaling"] is True


class _Client:
    """Takes down what it is asked for."""

    def create_pipeline(self, *_: object, **asked: object) -> None:
        self.asked = asked
