"""A running lab becomes another topology: what goes on meanwhile, what is in force afterwards, and that a mistake changes nothing."""

import subprocess
import time

import pytest

from testbed.model import Direction, FixedResponse, Instance, ListenerRule, ModelError, NetworkAclEntry, Verdict, WebApplication
from testbed.observe.probe import Answer
from tests.scenarios.configured_state import configured_state, differences
from tests.scenarios.shop import POSTGRESQL, conninfo, public_address, resource, shop_of_two, with_resources

pytestmark = [pytest.mark.packets, pytest.mark.topology.with_args(shop_of_two)]

SILENCE_S = 0.3
PATIENCE_S = 5.0


class Session:
    """A psql that stays connected to the shop's database; a context."""

    def __init__(self, lab, node):
        self._psql = lab[node].popen("psql", conninfo(lab), "-A", "-t", "-q", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def say(self, statement):
        self._psql.stdin.write(f"{statement};\n".encode())
        self._psql.stdin.flush()

    def ask(self, statement):
        """The one line that PostgreSQL answers, on this very connection."""
        self.say(statement)
        return self._psql.stdout.readline().decode().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._psql.kill()
        self._psql.communicate()


@pytest.fixture
def change(lab):
    """`lab.change`; whatever a test has changed is changed back at its end."""
    before = lab.topology
    yield lab.change
    if lab.topology is not before:
        lab.change(before)


@pytest.fixture
def session(lab):
    with Session(lab, "web-a") as session:
        assert session.ask("SELECT 6 * 7") == "42"
        yield session


def pids(lab):
    return {service.name: service.pid for service in lab.ps()}


def through_the_balancer(lab, path):
    """The answer of one node of the balancer."""
    return lab["client"].curl(f"https://origin.shop.example.com{path}", "--resolve", f"origin.shop.example.com:443:{public_address(lab, 'alb-shop-a')}")


def eventually(holds):
    """Whether something comes to hold in time."""
    deadline = time.monotonic() + PATIENCE_S
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


def test_a_new_instance_joins_and_another_ones_database_session_goes_on(lab, change, session):
    backend, before = session.ask("SELECT pg_backend_pid()"), pids(lab)
    new = Instance(id="web-c", subnet_id="private-a", security_group_ids=("sg-web",), user_data=WebApplication(port=80, database_id="shop-db"))
    with lab.capture("web-a", filter=f"tcp port {POSTGRESQL} and tcp[tcpflags] & (tcp-rst|tcp-fin) != 0") as capture:
        summary = change(with_resources(lab.topology, new, resource(lab.topology, "tg-web", targets=("web-a", "web-b", "web-c"))))
        assert session.ask("SELECT pg_backend_pid()") == backend
    assert capture.packets == []
    assert summary.nodes_added == ("web-c",)
    assert eventually(lambda: through_the_balancer(lab, "/").headers.get("x-served-by") == "web-c")
    assert {name: pid for name, pid in pids(lab).items() if name in before} == before, "no daemon was started anew"


def test_an_instance_that_leaves_is_asked_no_more_and_nobody_else_is_concerned(lab, change, session):
    summary = change(with_resources(lab.topology, resource(lab.topology, "tg-web", targets=("web-a",)), without=("web-b",)))
    assert summary.nodes_removed == ("web-b",)
    assert session.ask("SELECT 1") == "1"
    assert eventually(lambda: {through_the_balancer(lab, "/").headers.get("x-served-by") for _ in range(4)} == {"web-a"})


def test_without_the_rule_an_admitted_session_lives_on_and_a_new_one_is_refused(lab, change, session):
    change(with_resources(lab.topology, resource(lab.topology, "sg-db", security_group_ingress=())))
    assert session.ask("SELECT 2") == "2", "the interface has admitted this flow"
    assert lab["web-a"].tcp("shop-db", POSTGRESQL, timeout_s=SILENCE_S).answer is Answer.SILENT
    assert session.ask("SELECT 3") == "3"


def test_a_network_acl_that_denies_ends_even_a_session_that_is_open(lab, change, session):
    acl = resource(lab.topology, "acl-database")
    deny = NetworkAclEntry(rule_number=50, direction=Direction.INBOUND, rule_action=Verdict.DENY, cidr_block=f"{lab['web-a'].address}/32")
    change(with_resources(lab.topology, resource(lab.topology, "acl-database", entries=(*acl.entries, deny))))
    with lab.capture("web-a", "shop-db", filter=f"tcp dst port {POSTGRESQL} and src host {lab['web-a'].address} and tcp[tcpflags] & tcp-push != 0") as capture:
        session.say("SELECT 4")
        capture.wait_for(1)
        time.sleep(SILENCE_S)
    assert {packet.sniffed_on for packet in capture.packets} == {"web-a/eth0"}, "an ACL has no memory of what it once let pass"


def test_a_new_rule_of_the_balancer_is_in_force_without_a_restart(lab, change):
    before = pids(lab)
    assert through_the_balancer(lab, "/closed").status == 404
    listener = resource(lab.topology, "listener-https")
    closed = ListenerRule(priority=5, path_pattern=("/closed",), actions=(FixedResponse(status_code=503, message_body="we are closed\n"),))
    summary = change(with_resources(lab.topology, resource(lab.topology, "listener-https", rules=(closed, *listener.rules))))
    assert summary.services_reloaded == ("alb-shop-a.alb", "alb-shop-b.alb")
    assert eventually(lambda: through_the_balancer(lab, "/closed").status == 503)
    assert through_the_balancer(lab, "/closed").text == "we are closed\n"
    assert pids(lab) == before


def test_a_topology_with_a_fault_changes_nothing(lab, change):
    topology, state, running = lab.topology, configured_state(lab), pids(lab)
    with pytest.raises(ModelError) as error:
        change(with_resources(lab.topology, Instance(id="web-c", subnet_id="no-such-subnet"), resource(lab.topology, "sg-db", security_group_ingress=())))
    assert [(fault.resource, fault.problem) for fault in error.value.faults] == [("web-c", "subnet_id 'no-such-subnet' does not exist")]
    assert lab.topology is topology
    assert pids(lab) == running
    assert differences(state, configured_state(lab)) == []
    assert lab["web-a"].tcp("shop-db", POSTGRESQL).answer is Answer.ANSWERED


def test_the_same_topology_again_changes_nothing(lab, change):
    running = pids(lab)
    summary = change(with_resources(lab.topology))
    assert not any(getattr(summary, field) for field in summary.__dataclass_fields__)
    assert pids(lab) == running
