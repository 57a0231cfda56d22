"""What charon is told, and what is understood of what it says."""

import json
from dataclasses import replace

import pytest

from services.common.config import decode
from services.ipsec import vici
from services.ipsec.causes import KEYS, NO_ANSWER, PHASE1, PHASE2, cause
from services.ipsec.config import Algorithms, Config
from services.ipsec.strongswan import carries, connection, proposals, settings
from testbed.compile.lowerings import compile_plan
from testbed.resolve import resolve
from topologies.vpn_link import vpn_link

PLAN = compile_plan(resolve(vpn_link()))
CONFIGS = {service.name: decode(service.config, Config) for service in PLAN.services if service.kind == "ipsec"}
AWS, DEVICE = CONFIGS["vpn-office-tunnel-1.ipsec"], CONFIGS["router-office.vpn-office-1.ipsec"]


def test_a_message_survives_the_wire():
    message = {"name": "x", "list": ["a", "b"], "section": {"inner": "y", "empty": {}}}
    assert vici.decode(vici.encode(message)) == message
    kind, name, decoded = vici.opened(vici.packet(vici.EVENT, "child-updown", message)[4:])
    assert (kind, name, decoded) == (vici.EVENT, "child-updown", message)


def test_a_message_that_ends_too_early_is_told():
    with pytest.raises(vici.ViciError):
        vici.decode(vici.encode({"name": "value"})[:-1])


def test_both_ends_name_each_other_and_share_a_key():
    assert (AWS.local_address, AWS.remote_address, AWS.pre_shared_key) == (DEVICE.remote_address, DEVICE.local_address, DEVICE.pre_shared_key)
    assert (AWS.initiates, DEVICE.initiates) == (False, True)


def test_the_devices_tunnels_have_ports_of_their_own():
    assert {(config.ike_port, config.nat_t_port) for name, config in CONFIGS.items() if name.startswith("router-")} == {(500, 4500), (501, 4501)}


def test_ciphers_with_integrity_of_their_own_are_a_proposal_apart():
    algorithms = Algorithms(encryption=("AES128", "AES256-GCM-16"), integrity=("SHA1", "SHA2-256"), dh_groups=(14, 19))
    assert proposals(algorithms, with_prf=False) == ["aes128-sha1-sha256-modp2048-ecp256", "aes256gcm16-modp2048-ecp256"]
    assert proposals(algorithms, with_prf=True) == ["aes128-sha1-sha256-prfsha1-prfsha256-modp2048-ecp256", "aes256gcm16-prfsha1-prfsha256-modp2048-ecp256"]


def test_a_dead_peer_is_noticed_within_its_timeout_in_the_labs_time():
    text = settings(DEVICE, userspace=True, time_scale=10)
    assert "retransmit_timeout = 0.600" in text  # 5 x 0.6 s + the pause of 1 s before them: 40 s / 10
    assert connection(DEVICE, interface_id=None, time_scale=10)[DEVICE.name]["dpd_delay"] == "1s"


def test_userspace_esp_comes_before_the_kernels():
    assert "kernel-libipsec kernel-netlink" in settings(AWS, userspace=True, time_scale=1)
    assert "kernel-libipsec kernel" not in settings(AWS, userspace=False, time_scale=1)
    assert connection(AWS, interface_id=7, time_scale=1)[AWS.name]["children"]["esp"]["if_id_out"] == "7"


def test_rekeying_begins_before_the_end_of_a_lifetime():
    child = connection(AWS, interface_id=None, time_scale=1)[AWS.name]["children"]["esp"]
    assert (child["life_time"], child["rekey_time"], child["rand_time"], child["replay_window"]) == ("3600s", "3330s", "270s", "1024")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("05[IKE] received AUTHENTICATION_FAILED notify error", KEYS),
        ("11[IKE] tried 1 shared key for '198.19.12.49' - '198.18.7.254', but MAC mismatched", KEYS),
        ("09[IKE] received NO_PROPOSAL_CHOSEN notify error", PHASE1),
        ("09[IKE] received proposals unacceptable", PHASE1),
        ("14[IKE] received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built", PHASE2),
        ("14[IKE] giving up after 4 retransmits", NO_ANSWER),
        ("14[IKE] IKE_SA office[1] established", None),
    ],
)
def test_causes_in_charons_words(line, expected):
    assert cause(line) == expected


def test_a_tunnel_is_up_while_a_child_is_installed():
    def told(ike: str, child: str) -> tuple[dict[str, object], ...]:
        return ({"office": {"state": ike, "child-sas": {"esp-1": {"state": child}}}},)

    assert carries(told("ESTABLISHED", "INSTALLED"))
    assert carries(told("ESTABLISHED", "REKEYING"))
    assert not carries(told("DELETING", "INSTALLED"))
    assert not carries(told("ESTABLISHED", "DELETED"))
    assert not carries(())


def test_nothing_of_a_key_is_in_charons_settings():
    assert AWS.pre_shared_key not in settings(replace(AWS), userspace=True, time_scale=1)
    assert json.loads(next(service.config for service in PLAN.services if service.name == "vpn-office-tunnel-1.ipsec"))["pre_shared_key"] == AWS.pre_shared_key
