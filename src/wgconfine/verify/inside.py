"""Do something inside a tunnel's namespace, in a child that is killed when its time is over."""

import json
import time
from collections.abc import Callable
from typing import Any

from wgconfine.model.errors import OperationFailed
from wgconfine.model.settings import TunnelName
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.namespace import Visit
from wgconfine.system.aside import Aside, Unanswered

__all__ = ["ask_inside", "ask_outside"]


def ask_inside(name: TunnelName, question: Callable[[], Any], seconds: float) -> Any:
    """Give what `question` gives (as JSON can carry it), asked inside the tunnel's namespace.

    The namespace is the one of our own record, joined in a child: this process stays where it is.
    Raises OperationFailed where it can't be joined, or where there is no answer in time.
    """

    def asked() -> Any:
        with Visit(name):
            return question()

    return ask_outside(asked, seconds, f"inside {name}")


def ask_outside(question: Callable[[], Any], seconds: float, where: str) -> Any:
    """Give what `question` gives, asked in a child; nothing that it waits for can hold us up."""

    def asked() -> str:
        try:
            return json.dumps({"found": question()})
        except (Failure, OSError, ValueError) as error:
            return json.dumps({"failure": str(error)})

    try:
        answer = json.loads(Aside(asked).answer(time.monotonic() + seconds))
    except Unanswered as why:
        raise OperationFailed(where, str(why)) from why
    if "failure" in answer:
        raise OperationFailed(where, str(answer["failure"]))
    return answer["found"]
