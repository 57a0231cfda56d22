"""A server of known capacity."""

from services.web_server.capacity import Capacity


def done(capacity, count, begin_s, end_s):
    return sum(capacity.take(begin_s + (end_s - begin_s) * number / count) for number in range(count))


def test_it_does_what_it_can_and_no_more():
    capacity = Capacity(50, 0.0)
    assert done(capacity, 100, 0, 10) == 100, "ten a second are few"
    assert 95 <= done(capacity, 1000, 10, 11) <= 101, "a second's worth at once, and a second's worth as it comes"
    assert 49 <= done(capacity, 1000, 11, 12) <= 51
    assert not capacity.take(12.0)


def test_what_is_not_used_is_not_kept_for_ever():
    capacity = Capacity(10, 0.0)
    assert done(capacity, 100, 1000, 1000.001) == 10
