"""What a long fit writes down on its way, so that nothing is lost when it is killed."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgewise._errors import ConfigError
from edgewise._fit._data import Data
from edgewise._fit._result import Step
from edgewise._io import load, read_notes, save
from edgewise._network import KAN
from edgewise._primitives import PRIMITIVES, Library, Primitive

if TYPE_CHECKING:
    from edgewise._fit._monitor import Monitor
    from edgewise._fit._problem import Problem


class Journal:
    """A folder with what each call of the solver found, in order.

    The search for a network is the same every time for a seed. So a fit that is begun again with
    the same arguments goes through the same calls, takes the results of those that were finished
    from the folder, and goes on with the first that was not.

    Args:
        folder: Where; it is made if it is not there.
        monitor: The fit's clock: time that was spent before counts.
        fingerprint: What tells this fit from others.
        writes: Whether this process writes; in a team only the first does.
    """

    def __init__(
        self, folder: str | os.PathLike[str], monitor: Monitor, fingerprint: str, writes: bool
    ) -> None:
        self.folder, self.monitor, self.writes = Path(folder), monitor, writes
        self.calls = 0
        label = self.folder / "fit.json"
        if label.exists():
            found = json.loads(label.read_text()).get("fingerprint")
            if found != fingerprint:
                raise ConfigError(
                    f"The checkpoint {self.folder} belongs to a fit of another network, other data "
                    "or other settings. Give another path, or delete the folder to begin anew."
                )
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise ConfigError(f"{self.folder} is not empty and holds no checkpoint of a fit.")
        elif writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            label.write_text(json.dumps({"fingerprint": fingerprint}))

    def replay(self, problem: Problem) -> bool:
        """Bring a problem to where the solver had brought it, if it had."""
        path = self._path(self.calls)
        if not path.exists():
            return False
        notes = json.loads(read_notes(path)["fit"])
        library = _library(problem.model)
        problem.model = load(path, library=library).to(problem.model.device)
        best = self._path(notes["best"], "best")
        problem.best = load(best, library=library).to(problem.model.device)
        problem.best_value = float.fromhex(notes["best_value"])
        problem.history[:] = [Step(**step) for step in notes["history"]]
        self.monitor.resume(notes["seconds"], notes["steps"])
        self.calls += 1
        return True

    def record(self, problem: Problem) -> None:
        """Write down where the solver has brought a problem."""
        if self.writes:
            notes = {
                "best": self.calls,
                "best_value": problem.best_value.hex(),
                "history": [asdict(step) for step in problem.history],
                "seconds": self.monitor.seconds,
                "steps": self.monitor.steps,
            }
            save(problem.best, self._path(self.calls, "best"))
            save(problem.model, self._path(self.calls), notes={"fit": json.dumps(notes)})
        self.calls += 1

    def _path(self, call: int, kind: str = "model") -> Path:
        return self.folder / f"{call:04d}-{kind}.safetensors"


def fingerprint(model: KAN, data: Data, settings: tuple[Any, ...]) -> str:
    """Tell one fit from another: a digest of the network, the rows in memory and the settings."""
    digest = hashlib.sha256(repr(settings).encode())
    tensors = [*model.state_dict().values(), data.x, data.y, data.x_held, data.y_held]
    tensors += [weights for weights in (data.weights, data.weights_held) if weights is not None]
    for tensor in tensors:
        digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    digest.update(str(data.count).encode())
    return digest.hexdigest()


def _library(model: KAN) -> Library:
    """The primitives of a model, one's own among them."""
    own: list[Primitive] = [
        lock.primitive for layer, _ in model.parts() for _, lock in layer.locked()
    ]
    return PRIMITIVES.plus(*own) if own else PRIMITIVES
