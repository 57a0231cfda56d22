"""What preflight finds on this machine and on poorer ones."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from testbed.engine import conntrack, preflight
from testbed.engine.errors import RealiseError
from testbed.engine.preflight import Check, DelayLine


@pytest.fixture(scope="module")
def checks() -> tuple[tuple[Check, ...], float]:
    started = time.perf_counter()
    return preflight.check(), time.perf_counter() - started


def named(checks: tuple[Check, ...], name: str) -> Check:
    return next(check for check in checks if check.name == name)


def test_each_finding_has_a_name_of_its_own(checks):
    names = [check.name for check in checks[0]]
    assert len(names) == len(set(names))


def test_whatever_is_not_found_has_a_remedy_and_whatever_is_found_has_none(checks):
    assert [check.name for check in checks[0] if bool(check.remedy) == check.found] == []


def test_the_whole_machine_is_checked_within_two_seconds(checks):
    assert checks[1] < 2.0  # 0.12 s on an idle machine


def test_nothing_is_left_of_the_namespaces_in_which_it_tried(checks):
    assert not [path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith("pf-")]


@pytest.fixture
def without_programs(monkeypatch, tmp_path):
    monkeypatch.setattr(preflight, "SYSTEM_PATH", str(tmp_path))


def test_a_missing_program_names_its_package(without_programs):
    nft = named(preflight.check(), "nft")
    assert not nft.found and nft.required and "apt install nftables" in nft.remedy


def test_a_feature_whose_tool_is_missing_is_not_found_and_set_up_is_its_remedy(without_programs, checks):
    if not named(checks[0], "sandbox namespaces").found:
        pytest.skip("no sandbox can be made here")
    filtering = named(preflight.check(), "nft: stateful filtering")
    assert not filtering.found and "setup.sh install" in filtering.remedy


def test_a_child_that_dies_before_it_speaks_counts_as_nothing_found(monkeypatch):
    monkeypatch.setattr(preflight, "_in_child", lambda writer: None)
    found = preflight.check()
    assert not named(found, "sandbox namespaces").found
    assert named(found, "veth links").detail == "not tried: no sandbox"


def test_a_child_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(preflight, "_in_child", lambda writer: time.sleep(60))
    monkeypatch.setattr(preflight, "SILENCE_S", 0.05)
    started = time.perf_counter()
    preflight.check()
    assert time.perf_counter() - started < 30  # the child would sleep for 60


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kernel/apparmor_restrict_unprivileged_userns": "1"}, "AppArmor"),
        ({"kernel/unprivileged_userns_clone": "0"}, "unprivileged_userns_clone=1"),
        ({"user/max_user_namespaces": "0"}, "max_user_namespaces=10000"),
    ],
)
def test_without_root_the_setting_that_forbids_user_namespaces_is_named(monkeypatch, settings, words):
    monkeypatch.setattr(preflight, "_in_child", lambda writer: None)
    monkeypatch.setattr(preflight, "_read_sysctl", settings.get)
    monkeypatch.setattr(preflight.os, "geteuid", lambda: 1000)
    assert words in named(preflight.check(), "sandbox namespaces").remedy


def test_a_small_neighbour_table_is_a_warning_with_its_sysctl(monkeypatch):
    monkeypatch.setattr(preflight, "_read_sysctl", {"net/ipv4/neigh/default/gc_thresh3": "1024"}.get)
    table = named(preflight.check(), "neighbour table")
    assert not table.found and not table.required and "gc_thresh3=65536" in table.remedy


def test_a_state_folder_whose_sockets_would_have_too_long_a_path_is_refused(tmp_path):
    check = named(preflight.check(tmp_path / ("x" * 70)), "state folder")
    assert not check.found and check.required and "XDG_STATE_HOME" in check.remedy


def test_a_state_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    assert not named(preflight.check(tmp_path / "file" / "state"), "state folder").found


def test_a_state_folder_need_not_exist_and_is_not_made(monkeypatch):
    check = named(preflight.check(Path("/dev/shm/not-there/testbed")), "state folder")
    assert check.found and not Path("/dev/shm/not-there").exists()


def test_only_required_findings_keep_a_lab_from_starting():
    optional = Check(name="VRF", found=False, required=False, detail="", remedy="")
    required = Check(name="nft", found=False, required=True, detail="", remedy="")
    assert preflight.missing((optional, required)) == (required,)


@pytest.mark.parametrize(("netem_error", "required"), [("", False), ("Error: Specified qdisc kind is unknown.", True)])
def test_tap_devices_are_required_only_where_links_cannot_have_netem(monkeypatch, netem_error, required):
    monkeypatch.setattr(preflight, "_findings", lambda: {"sandbox": "", "TAP devices": "Permission denied", "netem": netem_error})
    tap = named(preflight.check(), "TAP devices")
    assert not tap.found and tap.required is required and "chmod 666 /dev/net/tun" in tap.remedy


@pytest.mark.parametrize(("netem", "line"), [(True, DelayLine.NETEM), (False, DelayLine.USERSPACE_WIRE)])
def test_links_use_netem_only_where_the_kernel_has_it(monkeypatch, netem, line):
    monkeypatch.setattr(preflight, "has_netem", lambda: netem)
    assert preflight.delay_line() is line


@pytest.mark.skipif(os.geteuid() != 0, reason="outside of a sandbox only root may try netem")
def test_links_and_doctor_agree_on_netem(checks):
    assert preflight.has_netem() is named(checks[0], "netem").found


def test_without_tc_there_is_no_netem(without_programs):
    preflight.has_netem.cache_clear()
    try:
        assert preflight.has_netem() is False
    finally:
        preflight.has_netem.cache_clear()


def test_connection_tracking_that_nobody_has_used_yet_is_loaded(monkeypatch, tmp_path):
    tried = []

    def answers(code):
        def run(argv, **options):
            tried.append((argv[-3:], "ct state" in options["input"]))
            return subprocess.CompletedProcess(argv, code, stderr="no such module")

        return run

    monkeypatch.setattr(conntrack.subprocess, "run", answers(0))
    conntrack.load_connection_tracking(tmp_path)
    assert not tried  # it is there
    conntrack.load_connection_tracking(tmp_path / "absent")
    assert tried == [(["nft", "-f", "-"], True)]
    monkeypatch.setattr(conntrack.subprocess, "run", answers(1))
    with pytest.raises(RealiseError, match="no such module"):
        conntrack.load_connection_tracking(tmp_path / "absent")
