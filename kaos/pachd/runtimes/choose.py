"""Stopgap until the runtimes' author writes the real one."""
from pathlib import Path
from kaos.pachd.runtimes import scratch
from kaos.pachd.runtimes.bubblewrap import Bubblewrap
from kaos.pachd.runtimes.program import Program
from kaos.pachd.runtimes.cgroups import usable
class _Composed:
    name = "bubblewrap"
    def __init__(self, user, program): self.user, self.program = user, program
    async def run(self, container, output):
        return await (self.program if container.image in self.program.images else self.user).run(container, output)
def choose(setting, store, directory, system_images):
    scratch.sweep(directory)
    c = usable("kaos-x-")
    return _Composed(Bubblewrap(store, directory, c), Program(system_images, directory, c))
