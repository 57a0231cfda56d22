"""What PostgreSQL is told about the DB instance, and the SQL that names a fresh copy."""

from ipaddress import IPv4Address

import pytest

from services.common.config import Listen
from services.rds.config import Config
from services.rds.settings import baptism, identifier, literal, settings

CONFIG = Config(name="shop-db", listen=Listen(address=IPv4Address("10.0.20.5"), port=5432), database="shop", user="shop", password="correct-horse", data_directory="/lab/shop-db")


def test_the_server_listens_on_the_instances_address_only():
    told = dict(settings(CONFIG, 15))
    assert (told["listen_addresses"], told["port"]) == ("10.0.20.5", "5432")


def test_no_setting_is_given_twice():
    names = [name for name, _ in settings(CONFIG, 18)]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(("major_version", "workers_are_off"), [(15, False), (17, False), (18, True), (19, True)])
def test_input_workers_are_switched_off_where_there_are_any(major_version, workers_are_off):
    assert ("io_method" in dict(settings(CONFIG, major_version))) is workers_are_off


def test_names_and_passwords_cannot_end_their_quotes():
    assert identifier('a"; DROP DATABASE shop; --') == '"a""; DROP DATABASE shop; --"'
    assert literal("it's \\' here") == " E'it''s \\\\'' here'"


def test_a_fresh_copy_gets_the_configured_names():
    assert baptism(CONFIG).split(";")[:3] == [
        'ALTER ROLE testbed_prepared RENAME TO "shop"',
        "ALTER ROLE \"shop\" LOGIN PASSWORD  E'correct-horse'",
        'ALTER DATABASE testbed_prepared RENAME TO "shop"',
    ]
