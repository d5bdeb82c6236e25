"""What a user may ask of the machine for a trial: refused at once, so that it never queues for what cannot be."""

from typing import Final

from shared.errors import Reject
from shared.quantities import memory_bytes, readable
from shared.runs import Options
from shared.settings import Settings

# The kernel shares out processors in hundredths. The largest machines for rent have 1,920 cores, 32 TiB and 16 GPUs.
_LEAST_CPU: Final = 0.01
_MOST_CPU: Final = 1_920
# A Python interpreter does not start with less.
_LEAST_MEMORY: Final = 4 * 2**20
_MOST_MEMORY: Final = 32 * 2**40
_MOST_GPU: Final = 16
# As many as a grid may have trials.
_MOST_PARALLELISM: Final = 10_000


def check(options: Options, settings: Settings) -> None:
    """Raises Reject `options.…` where a request is none that any machine, or this one, could fulfil."""
    if options.cpu is not None:
        _check_cpu(options.cpu, settings.trial_max_cpu)
    if options.memory is not None:
        _check_memory(options.memory, settings.trial_max_memory)
    if options.gpu is not None:
        _check_gpu(options.gpu, settings.trial_max_gpus)
    if options.parallelism is not None and options.parallelism > _MOST_PARALLELISM:
        raise Reject("options.parallelism", f"Ask for {_MOST_PARALLELISM:,} trials at once at most.")


def _check_cpu(cores: float, most: float) -> None:
    if cores > _MOST_CPU:
        raise Reject("options.cpu", f"{cores:g} cores are more than any machine has: ask for {_MOST_CPU} at most.")
    if cores < _LEAST_CPU:
        raise Reject("options.cpu", f"{cores:g} cores are less than can be shared out: ask for {_LEAST_CPU} at least.")
    if most and cores > most:
        raise Reject(
            "options.cpu", f"{cores:g} cores are more than there are here for a trial: ask for {most:g} at most."
        )


def _check_memory(quantity: str, most: int) -> None:
    try:
        size = memory_bytes(quantity)
    except ValueError as error:
        raise Reject("options.memory", str(error)) from None
    if not _LEAST_MEMORY <= size <= _MOST_MEMORY:
        raise Reject("options.memory", f"{quantity[:40]} of memory is not between 4Mi and 32Ti.")
    if most and size > most:
        raise Reject(
            "options.memory",
            f"{quantity[:40]} of memory is more than there is here for a trial: ask for {readable(most)} at most.",
        )


def _check_gpu(count: int, most: int | None) -> None:
    if count < 1:
        raise Reject("options.gpu", "A trial that asks for GPUs asks for 1 at least: for none, leave the option out.")
    if count > _MOST_GPU:
        raise Reject("options.gpu", f"{count} GPUs are more than any machine has: ask for {_MOST_GPU} at most.")
    if most is not None and count > most:
        has = {0: "none", 1: "one"}.get(most, str(most))
        raise Reject("options.gpu", f"A trial was to have {count} GPU{'s'[: count > 1]}, and there is {has} here.")
