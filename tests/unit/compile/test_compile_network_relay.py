"""What of a Network Load Balancer's node goes by a process: its configuration, the rules around it, and the way back to consumers."""

from services.common.config import decode
from services.nlb_relay.config import FORGET_MARK, TARGETS_ADDRESS, Config
from testbed.compile import compile_plan
from testbed.plan import RouteType
from testbed.resolve import resolve
from tests.scenarios.balanced import balanced
from tests.scenarios.relayed import PROXY, PROXY_HIDDEN, TLS, TLS_TO_TLS, relayed

RESOLVED = resolve(relayed())
PLAN = compile_plan(RESOLVED)
NODE = PLAN.node("nlb-relay-a")
SERVICE = next(service for service in PLAN.services if service.kind == "nlb_relay")
CONFIG = decode(SERVICE.config, Config)


def chain(name, plan_node=NODE):
    return [rule.statement for table in plan_node.ruleset.tables for each in table.chains if each.name == name for rule in each.rules]


def test_a_listener_asks_for_what_its_group_and_certificates_say():
    listeners = {listener.port: listener for listener in CONFIG.listeners}
    assert [each.host_names for each in listeners[TLS].tls] == [("one.example.com",), ("*.two.example.com",)]
    assert listeners[TLS].keeps_client and not listeners[TLS].encrypts
    assert listeners[TLS_TO_TLS].encrypts and not listeners[TLS_TO_TLS].keeps_client
    assert listeners[TLS_TO_TLS].alpn == ("h2", "http/1.1", "http/1.0")
    assert listeners[PROXY].proxy_protocol and not listeners[PROXY].tls
    assert (listeners[PROXY_HIDDEN].idle_timeout_s, listeners[TLS].idle_timeout_s) == (60.0, 350.0)
    assert listeners[444].slots == 0
    assert {file for each in SERVICE.certificates for file in (each.certificate_file, each.key_file)} == {file for each in CONFIG.listeners for tls in each.tls for file in (tls.certificate_file, tls.key_file)}


def test_an_endpoint_is_an_entrance_that_is_named():
    assert [(entrance.address == RESOLVED.interfaces_of("nlb-relay")[0].address, entrance.vpc_endpoint) for entrance in CONFIG.entrances] == [(True, ""), (False, "vpce-c")]


def test_the_kernel_carries_nothing_of_it_but_gives_its_targets():
    (listeners,) = (each for table in NODE.ruleset.tables for each in table.maps if each.name == "listeners")
    assert not listeners.elements
    assert f"ip daddr {TARGETS_ADDRESS} tcp dport 443 dnat ip to meta mark map @slots.tg_tls" in chain("relay_to_target")
    assert f"meta mark {FORGET_MARK:#x} drop" in chain("relay_output")
    assert not any("dport 444" in rule for rule in chain("relay_to_target")), "no target: the connection is refused"


def test_answers_to_clients_stay_and_those_to_consumers_go_by_their_link():
    local = next(route for route in NODE.routes if route.type is RouteType.LOCAL)
    assert local.table in {rule.table for rule in NODE.rules if rule.mark}
    consumer = next(entrance.address for entrance in CONFIG.entrances if entrance.vpc_endpoint)
    rule = next(rule for rule in NODE.rules if rule.source is not None and consumer in rule.source)
    assert [route.device for route in NODE.routes if route.table == rule.table] == ["pl-vpce-c-a"]


def test_a_consumer_is_shown_to_the_relay_and_hidden_from_the_kernels_listeners():
    hidden = chain("hide_consumer", PLAN.node("vpce-c-a"))
    assert hidden[0].endswith("accept")
    assert "snat to" in hidden[-1]


def test_a_balancer_without_such_listeners_has_none_of_it():
    plan = compile_plan(resolve(balanced()))
    assert not any(service.kind == "nlb_relay" for service in plan.services)
    assert not any(route.type is RouteType.LOCAL for node in plan.nodes for route in node.routes)

