"""What uv 0.13 says (recorded), and what kaos says for it."""

import pytest

from functions.build.builder.diagnosis import diagnosed, lacks_wheel
from shared.errors import Unreachable

UNSOLVED = "Using CPython 3.11.7 interpreter at: /x/bin/python\nerror: No solution found when resolving dependencies\n"
END = "we can conclude that your requirements are unsatisfiable.\n"


@pytest.mark.parametrize(
    ("output", "code", "sentence"),
    [
        (
            UNSOLVED
            + f"  cause: Because nump-y was not found in the package registry and you require nump-y==1, {END}",
            "build.requirement-unknown",
            "The requirement 'Nump_Y==1' is not in the package index: check its spelling.",
        ),
        (
            UNSOLVED + f"  cause: Because there is no version of numpy==99.1 and you require numpy==99.1, {END}",
            "build.requirement-unknown",
            (
                "The requirement 'numpy == 99.1' has no version that fits: "
                "Because there is no version of numpy==99.1 and you require numpy==99.1."
            ),
        ),
        (
            UNSOLVED + "  cause: Because the current Python version (3.9.18) does not satisfy Python>=3.11 and "
            "scikit-learn==1.9.1 depends on Python>=3.11, we can conclude that scikit-learn==1.9.1 cannot be used.\n"
            f"         And because only scikit-learn<=1.9.1 is available and you require scikit-learn==1.9.1, {END}",
            "build.requirement-unknown",
            "The requirement 'scikit-learn' has no version that fits: Because the current Python version (3.9.18) ",
        ),
        (
            UNSOLVED
            + f"  cause: Because torch==1.0.0 has no wheels with a matching Python ABI tag (e.g., `cp311`), {END}",
            "build.requirement-unknown",
            "The requirement 'torch' has no version that fits: ",
        ),
        (
            UNSOLVED
            + "  cause: Because requests==2.31.0 depends on urllib3>=1.21.1,<3 and you require requests==2.31.0, "
            "we can conclude that you require urllib3>=1.21.1,<3.\n"
            f"         And because you require urllib3==1.10, {END}",
            "build.requirement-conflict",
            "The requirements contradict each other: Because requests==2.31.0 depends on urllib3>=1.21.1,<3 and ",
        ),
        (
            'error: Couldn\'t parse requirement in `/r.txt` at position 0\n  cause: no such comparison operator "="\n',
            "build.requirement-invalid",
            'A requirement can\'t be read: no such comparison operator "="',
        ),
        (
            (
                "error: Failed to build `numpy==1.16.4`\n  Trace\n     NameError: name 'CCompiler' is not defined.\n\n"
                "hint: Build failures usually indicate a problem with the package or the build environment\n"
            ),
            "build.run-failed",
            (
                "numpy==1.16.4 has no wheel for this Python, and could not be built from source: "
                "NameError: name 'CCompiler' is not defined. Ask for"
            ),
        ),
        ("error: No space left on device (os error 28)\n", "build.disk", "The disk is full"),
        ("error: something new\n", "build.run-failed", "The requirements could not be installed: error: something new"),
    ],
)
def test_a_failed_install_is_explained(output: str, code: str, sentence: str) -> None:
    error = diagnosed(output, ("Nump_Y==1", "numpy == 99.1", "scikit-learn", "torch", "requests==2.31.0"))
    assert error.code == code
    assert error.message.startswith(sentence)
    assert "Using CPython" not in error.message


def test_a_network_that_is_not_there_is_not_the_users_fault() -> None:
    output = "error: Request failed after 3 retries in 9.4s\n  cause: Failed to fetch: https://pypi.org/simple/a/\n"
    error = diagnosed(output, ())
    assert isinstance(error, Unreachable)
    assert error.code == "build.network"
    assert "SSL_CERT_FILE" in diagnosed(f"{output}  cause: invalid peer certificate: UnknownIssuer\n", ()).message


def test_only_a_missing_wheel_is_worth_a_build_from_source() -> None:
    hint = "hint: Wheels are required for `a` because building from source is disabled for all packages\n"
    assert lacks_wheel(f"{UNSOLVED}  cause: Because a==1 has no usable wheels and you require a==1, {END}\n{hint}")
    assert not lacks_wheel(f"{UNSOLVED}  cause: Because there is no version of a==1 and you require a==1, {END}")
