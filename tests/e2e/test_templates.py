"""The templates, as their READMEs tell: what a new user types first."""

from tests.e2e.conftest import User


def test_mnist_trains_on_remote_data_and_on_the_same_data_brought_along(user: User) -> None:
    user.kaos("template", "get", "--name", "mnist")

    micro = user.deploy("-s", "mnist/model-train", "-m", "mnist/data_manifest_micro/data.mf")
    assert micro["state"] == "succeeded", micro["error"]
    assert "training on 93 images of data" in user.kaos("train", "logs", "-r", micro["id"])
    mid = user.deploy("-m", "mnist/data_manifest_mid/data.mf")
    here = user.deploy("-d", "mnist/data")
    for run in (mid, here):
        assert run["state"] == "succeeded", run["error"]
        assert "training on 1197 images" in user.kaos("train", "logs", "-r", run["id"])
    assert scores(mid) == scores(here)
    assert scores(mid)["accuracy_test"] > scores(micro)["accuracy_test"] > 0.5


def test_diabetes_trains_with_hyperparams(user: User) -> None:
    """Fewer than the template's own: each trial takes a second to import scikit-learn."""
    user.kaos("template", "get", "--name", "diabetes")

    run = user.deploy(
        *("-s", "diabetes/model-train", "-d", "diabetes/data", "-h", user.params(alpha=[0.1, 10], l1_ratio=[0.1]))
    )
    assert run["state"] == "succeeded", run["error"]
    weak, strong = (trial["metrics"] for trial in sorted(run["trials"], key=lambda trial: trial["params"]["alpha"]))
    assert weak.keys() == {
        f"{metric}_{part}" for metric in ("r2", "rmse") for part in ("training", "validation", "test")
    }
    assert weak["r2_validation"] > 0.45 > strong["r2_validation"]
    user.kaos("train", "get", "-o", "got")
    assert len([*user.home.glob("got/**/model.pkl")]) == 2


def scores(run: dict[str, list[dict[str, dict[str, float]]]]) -> dict[str, float]:
    """The metrics of a run's only trial."""
    [trial] = run["trials"]
    return trial["metrics"]
