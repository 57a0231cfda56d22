"""A DB instance becomes a namespace behind one interface, with a PostgreSQL server that does not run as root.

Source: RDS user guide, "Working with a DB instance in a VPC" (documented).
"""

from __future__ import annotations

from services.common.config import Listen, encode
from services.rds.config import Config
from testbed.compile.fragment import Fragment, join
from testbed.compile.network_interface import guest_node
from testbed.compile.network_interface import lower as lower_interface
from testbed.model.db_instance import DBInstance
from testbed.plan import NodeKind, ServiceSpec
from testbed.resolve.resolved import Resolved, ResolvedInterface

KIND = "rds"
DATA = "/run/testbed/rds"


def lower(database: DBInstance, resolved: Resolved) -> Fragment:
    """The DB instance's node, interface and server."""
    return join(*(_node(database, interface, resolved) for interface in resolved.interfaces_of(database.id)))


def service_name(database: DBInstance) -> str:
    """The service of a DB instance's server."""
    return f"{database.id}.{KIND}"


def _node(database: DBInstance, interface: ResolvedInterface, resolved: Resolved) -> Fragment:
    config = Config(
        name=database.id,
        listen=Listen(address=interface.address, port=database.port),
        database=database.db_name,
        user=database.master_username,
        password=database.master_user_password,
        data_directory=f"{DATA}/{database.id}",
    )
    service = ServiceSpec(name=service_name(database), kind=KIND, node=interface.node, config=encode(config), unprivileged=True, origin=database.id)
    guest = guest_node(interface, NodeKind.DATABASE, f"{database.id} ({database.engine})", resolved)
    return join(lower_interface(interface, resolved), Fragment(nodes=(guest,), services=(service,)))
