"""What two ends of a VPN tunnel agree on, and options that AWS refuses."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from testbed.model import CustomerDeviceTunnel, VpnTunnelOptions
from testbed.model.vpn_tunnel import USERSPACE_MTU_BYTES, amazon_address, device_address, negotiate

AWS, DEVICE, KEY = VpnTunnelOptions(), CustomerDeviceTunnel(), "a.good_key"


def problems(options: VpnTunnelOptions) -> list[str]:
    return [fault.problem for fault in options.faults("vpn tunnel 1")]


def test_defaults_agree():
    agreement = negotiate(AWS, DEVICE, KEY)
    assert (agreement.cause, agreement.mtu_bytes) == (None, USERSPACE_MTU_BYTES)


@pytest.mark.parametrize(
    ("device", "cause"),
    [
        (replace(DEVICE, pre_shared_key="another_key"), "the pre-shared keys differ"),
        (replace(DEVICE, pre_shared_key=KEY), None),
        (replace(DEVICE, phase1_dh_group_number=2), "IKE (phase 1): no proposal in common"),
        (replace(DEVICE, phase2_encryption_algorithm="AES128"), "IPsec (phase 2): no proposal in common"),
        (replace(DEVICE, phase1_dh_group_number=2, pre_shared_key="another_key"), "IKE (phase 1): no proposal in common"),
    ],
)
def test_what_keeps_a_tunnel_down(device, cause):
    narrow = replace(AWS, phase1_dh_group_numbers=(19, 20), phase2_encryption_algorithms=("AES128-GCM-16", "AES256"))
    assert negotiate(narrow, device, KEY).cause == cause


def test_a_cipher_with_integrity_of_its_own_asks_for_no_other_in_phase_2():
    assert negotiate(replace(AWS, phase2_integrity_algorithms=("SHA2-512",)), DEVICE, KEY).cause is None


@pytest.mark.parametrize("block", ["169.254.0.0/30", "169.254.5.0/30", "169.254.169.252/30"])
def test_reserved_inside_blocks_are_refused(block):
    assert problems(VpnTunnelOptions(tunnel_inside_cidr=block)) == [f"tunnel_inside_cidr {block} is reserved by AWS"]


@pytest.mark.parametrize("block", ["169.254.10.0/29", "10.0.0.0/30"])
def test_inside_blocks_are_small_and_link_local(block):
    assert problems(VpnTunnelOptions(tunnel_inside_cidr=block)) == [f"tunnel_inside_cidr {block} is not a /30 of 169.254.0.0/16"]


@pytest.mark.parametrize("key", ["0starts_with_zero", "short", "has spaces in it", "x" * 65])
def test_keys_that_aws_does_not_take(key):
    assert len(problems(VpnTunnelOptions(pre_shared_key=key))) == 1


def test_aws_has_the_first_inside_address():
    block = IPv4Network("169.254.10.0/30")
    assert (str(amazon_address(block)), str(device_address(block))) == ("169.254.10.1", "169.254.10.2")


def test_lifetimes_and_unknown_algorithms_are_told():
    wrong = replace(AWS, phase2_lifetime_seconds=7200, dpd_timeout_seconds=10, phase1_encryption_algorithms=("DES",))
    assert sorted(problems(wrong)) == ["dpd_timeout_seconds 10 is too short", "phase1_encryption_algorithms DES is not allowed", "phase2_lifetime_seconds 7200 is out of bounds"]
