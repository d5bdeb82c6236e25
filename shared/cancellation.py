"""Being told to end gets lost now and then, so that loops which never end by themselves look for it.

Python 3.11's wait_for, which nats-py waits in, forgets a cancellation that comes together with what it waits for, and
grpc.aio may tell one as an RpcError.
"""

import asyncio


def raise_if_cancelled() -> None:
    """Raises CancelledError where this task was told to end."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
