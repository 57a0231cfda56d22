"""A packet that meets Global Accelerator: to a static address, and back from an endpoint. A part of `packet_walk`.

    internet ─▶ static address ─▶ listener, group ─┬─ client's address kept: into the endpoint's VPC, ACL in, groups (always tracked) ─▶ endpoint
                                                   └─ hidden: from an address of Global Accelerator's to the endpoint's public one, over the internet gateway
    endpoint ─▶ groups, ACL out ─▶ back as it came, whatever the route table says ─▶ the static address answers

Source: Global Accelerator developer guide, "How AWS Global Accelerator works", "Requirements for endpoints with client IP preservation" (documented). Network ACLs are asked (the newer of two statements).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from testbed.model.values import Packet
from testbed.oracle.accelerator import Accelerated
from testbed.oracle.hybrid_walk import Arrival
from testbed.oracle.memory import Memory
from testbed.oracle.places import InterfacePlace, Places
from testbed.oracle.walk import Stage, reply_to


class AcceleratedWalk:
    """What a walk does at Global Accelerator; a part of `PacketWalk`, like `HybridWalk`."""

    _places: Places
    _memory: Memory
    _nat_source_port: int
    _is_accelerated: bool
    """Whether its interfaces track the flow whatever their rules say (EC2 user guide, "Amazon EC2 security group connection tracking")."""

    @abstractmethod
    def _hop(self, where: str, stage: Stage, origin: str, packet: Packet, translated: Packet | None = None) -> None: ...

    @abstractmethod
    def _drop(self, where: str, stage: Stage, packet: Packet, origin: str) -> Arrival | None: ...

    @abstractmethod
    def _enter(self, place: InterfacePlace, packet: Packet, came_from: str | None) -> Arrival | None: ...

    @abstractmethod
    def _internet(self, packet: Packet) -> Arrival | None: ...

    def _to_accelerator(self, packet: Packet) -> Arrival | None:
        """What comes to a static address, which only begins flows with listeners."""
        accelerator = self._places.accelerators.by_address[packet.destination]
        found = self._places.accelerators.onward(packet)
        if isinstance(found, str):
            return self._drop(accelerator, Stage.GLOBAL_ACCELERATOR, packet, found)
        return self._into_vpc(found, packet) if found.source is None else self._to_public_address(found, packet)

    def _into_vpc(self, found: Accelerated, packet: Packet) -> Arrival | None:
        place = self._places.by_interface[found.interface]
        inside = replace(packet, destination=found.address)
        self._memory.accelerated[place.vpc.id, reply_to(inside)] = reply_to(packet)
        self._is_accelerated = True
        self._hop(found.listener, Stage.GLOBAL_ACCELERATOR, f"{found.listener} -> {found.group}", packet, inside)
        return self._enter(place, inside, came_from=None)

    def _to_public_address(self, found: Accelerated, packet: Packet) -> Arrival | None:
        assert found.source is not None
        outside = replace(packet, source=found.source, source_port=self._nat_source_port, destination=found.address)
        self._memory.translated[found.source_node, reply_to(outside)] = reply_to(packet)
        self._hop(found.listener, Stage.GLOBAL_ACCELERATOR, f"{found.listener} -> {found.group}", packet, outside)
        return self._internet(outside)

    def _back_from_vpc(self, place: InterfacePlace, packet: Packet) -> Arrival | None:
        """An endpoint's answer to a client whose address was kept."""
        answer = self._memory.accelerated[place.vpc.id, packet]
        self._hop(place.vpc.id, Stage.GLOBAL_ACCELERATOR, "Global Accelerator return", packet, answer)
        return self._internet(answer)

    def _back_from_public_address(self, node: str, packet: Packet) -> Arrival | None:
        """An endpoint's answer to Global Accelerator's own address."""
        answer = self._memory.translated.get((node, packet))
        if answer is None:
            return self._drop(node, Stage.GLOBAL_ACCELERATOR, packet, f"{node}: accepts nothing that it has not asked for")
        self._hop(node, Stage.GLOBAL_ACCELERATOR, "Global Accelerator return", packet, answer)
        return self._internet(answer)
