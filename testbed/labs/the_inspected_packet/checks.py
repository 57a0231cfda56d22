"""Checks of "The inspected packet"."""

from testbed.labs.checking import CheckedLab, check
from testbed.labs.exercise import Variant
from testbed.labs.the_inspected_packet.datagrams import WEB, answered, heard, passes


@check(step=1, points=2)
def test_what_comes_in_passes_the_endpoint(lab: CheckedLab) -> None:
    """What client sends to web arrives at vpce-app."""
    lab["client"].tcp(lab.public_address("web") or "web", WEB)
    assert passes(lab, "client", "web"), "vpce-app sees nothing of it"


@check(step=1, points=2)
def test_what_goes_out_passes_the_endpoint(lab: CheckedLab) -> None:
    """What web sends to client arrives at vpce-app."""
    assert passes(lab, "web", "client"), "vpce-app sees nothing of it"


@check(step=1, points=1, negative=True)
def test_nothing_goes_by(lab: CheckedLab) -> None:
    """web hears nothing of client that vpce-app has not seen."""
    lab["client"].tcp(lab.public_address("web") or "web", WEB)
    assert passes(lab, "client", "web") or b"hello" not in heard(lab, b"hello")


@check(step=2, points=2)
def test_packets_come_back_from_the_appliance(lab: CheckedLab) -> None:
    """client has an answer of web on port 80, and fw has inspected what it asked."""
    lab["client"].tcp(lab.public_address("web") or "web", WEB)
    assert lab.soon(lambda: answered(lab)), "no answer that fw has inspected"


@check(step=2, points=1)
def test_nobodys_address_changes(lab: CheckedLab) -> None:
    """web sees the address of client, though its packets were in another VPC."""
    address = lab.public_address("web")
    assert address is not None, "web has no public address"
    assert lab.soon(lambda: answered(lab)), "no answer that fw has inspected"
    assert lab.seen_as("client", "web", WEB, by=address) == lab["client"].address


@check(step=3, points=1)
def test_other_words_pass(lab: CheckedLab, variant: Variant) -> None:
    """A datagram without the word arrives at web, port 9000."""
    lab["client"].tcp(lab.public_address("web") or "web", WEB)
    word = variant.render("MALLARD").lower().encode()
    assert lab.soon(lambda: word in heard(lab, word))


@check(step=3, points=2, negative=True)
def test_the_word_does_not_pass(lab: CheckedLab, variant: Variant) -> None:
    """A datagram with the word MALLARD (yours: see Step 3) never arrives at web."""
    lab["client"].tcp(lab.public_address("web") or "web", WEB)
    word = b"a " + variant.render("MALLARD").encode() + b" in it"
    assert lab.soon(lambda: word not in heard(lab, word))
