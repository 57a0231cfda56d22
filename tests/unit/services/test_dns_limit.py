"""The packets per second that a resolver takes from one client."""

from services.dns.limit import PacketLimit


def test_what_exceeds_the_limit_within_a_second_is_refused_and_the_next_second_starts_anew():
    limit = PacketLimit(1024)
    assert sum(limit.admits("10.0.0.1", 5.0 + n / 2000) for n in range(2000)) == 1024
    assert limit.admits("10.0.0.1", 6.0)


def test_one_client_does_not_use_up_another_clients_limit():
    limit = PacketLimit(1)
    assert [limit.admits("10.0.0.1", 1.0), limit.admits("10.0.0.1", 1.1), limit.admits("10.0.0.2", 1.2)] == [True, False, True]


def test_without_a_limit_all_are_admitted():
    assert all(PacketLimit(None).admits("10.0.0.1", 1.0) for _ in range(5000))
