"""Verbs that a lab's own process carries out: it holds the plan and the topology already, which another process would spend seconds to read.

    command line                                   the lab's process (launched with `operations`)
    testbed explain   ── source, destination ──▶   probe, verdicts, the oracle's answer   ── text or JSON, whether they agree ──▶
    testbed reach     ── protocol, port ───────▶   the oracle's matrix                    ── text or JSON ──▶
    testbed apply     ── a topology ───────────▶   resolve, compile, diff, engine.apply   ── what it did, or the faults ──▶
    testbed attack    ── with Shield or not ───▶   the same with Shield switched          ── whether it is on, what is protected ──▶
    testbed scaling   ── nothing ──────────────▶   groups, members, activities            ── typed ──▶

A topology crosses as a pickle of `testbed.model`'s nouns and nothing else, over a socket that only the lab's owner reaches; the plan never does. What the lab's process prints is made for the
terminal that asked. The oracle judges by the topology that runs, whatever its file says by now.
"""

from __future__ import annotations

import base64
import io
import os
import pickle
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import EnumType
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import msgspec

from testbed.cli.exits import Told
from testbed.cli.output import PIPE_WIDTH, json_text
from testbed.engine.operation import Operations
from testbed.engine.status import Summary

if TYPE_CHECKING:
    from rich.console import Console

    from testbed.engine.lab import Lab
    from testbed.engine.remote import RemoteLab
    from testbed.model import ShieldProtection, Topology
    from testbed.oracle import Oracle
    from testbed.plan import Plan
    from testbed.resolve.resolved import Resolved
    from testbed.scaling.controller import Controller

TERMINAL = ("TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR")
FROM_ELSEWHERE = frozenset({("ipaddress", "IPv4Address"), ("ipaddress", "IPv4Network"), ("ipaddress", "IPv4Interface"), ("ipaddress", "IPv6Network"), ("builtins", "frozenset")})


class Refused(click.ClickException):
    """What the lab's process had to say instead of an answer, with its exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]


@dataclass(slots=True, kw_only=True)
class Running:
    """The topology that a lab runs, and the oracle for it once it was asked."""

    plan: Plan
    resolved: Resolved
    known: Oracle | None = None
    scaling: Controller | None = None
    shielded: Topology | None = None
    """While Shield is switched off: the topology with it."""

    def oracle(self, lab: Lab) -> Oracle:
        """What AWS does with packets in the topology that `lab` runs. Raises `Told` if that was changed by somebody who had only a plan."""
        from testbed.oracle import Oracle

        if lab.plan is not self.plan:
            raise Told("the lab runs a plan whose topology it was not told", "testbed apply tells it")
        if self.known is None:
            self.known = Oracle(self.resolved)
        return self.known


def operations(plan: Plan, resolved: Resolved) -> Operations:
    """What a lab of this topology answers beyond the engine's own requests."""
    running = Running(plan=plan, resolved=resolved)
    answers: dict[str, Callable[[Running, Lab, dict[str, Any]], dict[str, Any]]] = {"explain": _explain, "reach": _reach, "change": _change, "shield": _shield, "topology": _topology, "scaling": _scaling}
    return Operations(answers={name: partial(_answered, answer, running) for name, answer in answers.items()}, prepare=partial(_prepare, running))


def printed(lab: RemoteLab, operation: str, *, as_json: bool, **arguments: Any) -> dict[str, Any]:
    """Have the lab carry out what it prints, and print that; the rest of its answer. Raises `Refused`."""
    screen = {"terminal": sys.stdout.isatty(), "width": shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_WIDTH}
    answer = _asked(lab, operation, screen=screen, environment={name: os.environ[name] for name in TERMINAL if name in os.environ}, json=as_json, **arguments)
    sys.stdout.write(answer.pop("text"))
    return answer


def change(lab: RemoteLab, topology: Topology) -> Summary:
    """Change a running lab to another topology. Raises ModelError with its faults."""
    answer = _asked(lab, "change", topology=base64.b64encode(pickle.dumps(topology)).decode())
    if "faults" in answer:
        from testbed.model.errors import ModelError
        from testbed.model.values import Fault

        raise ModelError(msgspec.convert(answer["faults"], tuple[Fault, ...]))
    return msgspec.convert(answer["summary"], Summary)


def running_topology(lab: RemoteLab) -> Topology:
    """The topology that a lab runs, with the instances and tasks that its groups have launched."""
    topology: Topology = _Topologies(io.BytesIO(base64.b64decode(_asked(lab, "topology")["topology"]))).load()
    return topology


def _asked(lab: RemoteLab, operation: str, **arguments: Any) -> dict[str, Any]:
    answer = lab.ask(operation, **arguments)
    if "told" in answer:
        raise Refused(answer["told"], answer["code"])
    return answer


def _answered(answer: Callable[[Running, Lab, dict[str, Any]], dict[str, Any]], running: Running, lab: Lab, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return answer(running, lab, request)
    except Told as told:
        return {"told": told.message, "code": told.exit_code}


def _prepare(running: Running, lab: Lab) -> None:
    """Load what the verbs need, and let the oracle read the topology, before anybody asks; from now on groups are looked after."""
    from testbed.scaling.controller import Controller

    running.scaling = Controller(lab, lambda: running.resolved if lab.plan is running.plan else None, partial(_become, running, lab, patient=False))
    running.scaling.start()
    from testbed.cli import explain, reach  # noqa: F401
    from testbed.observe import explain as _  # noqa: F401

    running.oracle(lab)


def _explain(running: Running, lab: Lab, request: dict[str, Any]) -> dict[str, Any]:
    from testbed.cli.explain import explained, show

    with lab.changing:  # no group launches anything between the packet and what is said of it
        explanation = explained(lab, running.oracle(lab), request["source"], request["destination"], request["protocol"], request["port"])
    return {"text": _text(request, explanation, partial(show, explanation)), "agrees": explanation.agrees}


def _reach(running: Running, lab: Lab, request: dict[str, Any]) -> dict[str, Any]:
    from testbed.cli.reach import show

    with lab.changing:
        oracle = running.oracle(lab)
    matrix = oracle.reach(request["protocol"], request["port"])
    return {"text": _text(request, {"reach": matrix}, partial(show, matrix))}


def _change(running: Running, lab: Lab, request: dict[str, Any]) -> dict[str, Any]:
    from testbed.engine.control import nothing_collected
    from testbed.model.errors import ModelError
    from testbed.model.launching import carried_over

    wanted = _Topologies(io.BytesIO(base64.b64decode(request["topology"]))).load()
    with nothing_collected(), lab.changing:
        try:
            summary = _become(running, lab, carried_over(running.resolved.topology, wanted), patient=True)
        except ModelError as error:
            return {"faults": msgspec.to_builtins(error.faults)}
        running.shielded = None
    threading.Thread(target=running.oracle, args=(lab,), name="oracle", daemon=True).start()  # for who asks next
    return {"summary": msgspec.to_builtins(summary)}


def _become(running: Running, lab: Lab, topology: Topology, *, patient: bool) -> Summary:
    """Have the lab run another topology. Raises ModelError with its faults."""
    from testbed.compile import compile_plan
    from testbed.resolve import resolve

    resolved = resolve(topology)
    plan = compile_plan(resolved)
    summary = lab.apply(plan, patient=patient)
    running.plan, running.resolved, running.known = plan, resolved, None
    return summary


def _shield(running: Running, lab: Lab, request: dict[str, Any]) -> dict[str, Any]:
    """Whether Shield works, and what Shield Advanced protects; with `on`, switch it first: a teacher's switch, which AWS does not have."""
    from testbed.engine.control import nothing_collected
    from testbed.model import Internet, ShieldProtection
    from testbed.model.launching import carried_over

    with nothing_collected(), lab.changing:
        running.oracle(lab)
        here, wanted = running.resolved.topology, request.get("on")
        if wanted is False and running.shielded is None:
            without = tuple(replace(each, shield_standard=False) if isinstance(each, Internet) else each for each in here.resources if not isinstance(each, ShieldProtection))
            _become(running, lab, replace(here, resources=without), patient=True)
            running.shielded = here
        elif wanted is True and running.shielded is not None:
            _become(running, lab, carried_over(here, running.shielded), patient=True)
            running.shielded = None
        resolved = running.resolved
    on = all(internet.shield_standard for internet in resolved.topology.of(Internet))
    return {"on": on, "protections": [_protection(each, resolved) for each in resolved.topology.of(ShieldProtection)]}


def _protection(protection: ShieldProtection, resolved: Resolved) -> dict[str, Any]:
    """What is said of a Shield Advanced protection whose resource has been attacked."""
    from testbed.compile.shield_protection import addresses
    from testbed.model import Distribution, HostedZone
    from testbed.model.shield_protection import COST_PROTECTION

    found = next((each for each in resolved.topology.resources if each.id == protection.resource_arn), None)
    covered: tuple[object, ...] = addresses(protection, resolved)
    if isinstance(found, Distribution):
        covered = tuple(edge.address for edge in resolved.edges)
    elif isinstance(found, HostedZone):
        covered = tuple(server.address for server in resolved.route53_servers)
    return {"id": protection.id, "resource": protection.resource_arn, "addresses": [str(address) for address in covered], "cost_protection": COST_PROTECTION}


def _topology(running: Running, _lab: Lab, _request: dict[str, Any]) -> dict[str, Any]:
    return {"topology": base64.b64encode(pickle.dumps(running.resolved.topology)).decode()}


def _scaling(running: Running, _lab: Lab, _request: dict[str, Any]) -> dict[str, Any]:
    return {"groups": msgspec.to_builtins(() if running.scaling is None else running.scaling.status())}


def _text(request: dict[str, Any], value: object, show: Callable[[Console], None]) -> str:
    """What the asker's terminal shall show."""
    if request["json"]:
        return json_text(value)
    from rich.console import Console

    screen = Console(file=io.StringIO(), force_terminal=request["screen"]["terminal"], width=request["screen"]["width"], highlight=False, soft_wrap=False, _environ=request["environment"])
    with screen.capture() as captured:
        show(screen)
    return captured.get()


class _Topologies(pickle.Unpickler):
    """Reads topologies, and nothing that is not part of one."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "getattr"):  # how Python 3.11 before 3.11.4 writes a member of an enumeration
            return _member
        if module.split(".")[:2] != ["testbed", "model"] and (module, name) not in FROM_ELSEWHERE:
            raise Told(f"a topology cannot hold a {module}.{name}", "put only what testbed.model has into it")
        return super().find_class(module, name)


def _member(of: Any, name: str) -> Any:
    if not isinstance(of, EnumType):
        raise Told(f"a topology cannot hold {name} of {of!r}", "put only what testbed.model has into it")
    return of[name]
