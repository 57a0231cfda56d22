"""Names and record data, from text and back."""

import pytest

from services.common.config import ConfigError
from services.dns.message import format_name, is_under, parse_data, parse_name, type_name, type_number


def test_names_are_compared_in_lower_case_and_without_the_final_dot():
    assert parse_name("WWW.Example.com.") == parse_name("www.example.com") == (b"www", b"example", b"com")


def test_the_root_is_the_empty_name():
    assert parse_name("") == parse_name(".") == ()
    assert format_name(()) == "."


def test_an_escaped_byte_is_read_and_written_as_master_files_do():
    assert parse_name(r"\042.example.com") == (b"*", b"example", b"com")
    assert format_name((b"a b", b"com")) == r"a\032b.com"


def test_a_name_lies_under_its_zone_by_whole_labels_only():
    assert is_under(parse_name("a.example.com"), parse_name("example.com"))
    assert not is_under(parse_name("badexample.com"), parse_name("example.com"))
    assert is_under(parse_name("com"), ())


def test_quoted_text_is_one_string_and_words_are_several():
    assert parse_data("TXT", r'"the testbed\'s \"shop\"" plain').data == [b"the testbed's \"shop\"", b"plain"]


def test_a_name_in_record_data_is_absolute_with_or_without_its_dot():
    assert parse_data("CNAME", "a.example.com") == parse_data("CNAME", "a.example.com.")


def test_types_without_a_name_are_written_as_numbers():
    assert (type_name(65280), type_name(type_number("A"))) == ("TYPE65280", "A")


@pytest.mark.parametrize(("type_", "value"), [("A", "nonsense"), ("A", ""), ("A", "300.1.2.3"), ("MX", "mail"), ("BOGUS", "x"), ("SOA", "a. b.")])
def test_data_that_cannot_be_read_are_named(type_, value):
    with pytest.raises(ConfigError, match=type_):
        parse_data(type_, value)
