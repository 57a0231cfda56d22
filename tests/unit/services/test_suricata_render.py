"""A stateful engine's settings and rules in Suricata's words; Suricata itself checks them where there is one."""

import json
import subprocess
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from services.common.config import decode, encode
from services.suricata.config import Config, Rule
from services.suricata.log_line import line
from services.suricata.render import defaults, rules_text, suricata_yaml
from testbed.engine.preflight import find_program
from tests.golden.golden import assert_golden

RULES = (
    Rule(group="rg-a", sid=1, text='drop tcp any any -> any 8080 (msg:"not this\\; one"; sid:1; rev:2;)'),
    Rule(group="rg-a", sid=2, text='alert http any any -> any any (msg:"look"; http.uri; content:"/x"; sid:2;)'),
    Rule(group="rg-b", sid=3, text='pass tcp any any -> any [80,8000:8100] (msg:"web"; sid:3;)'),
    Rule(group="rg-b", sid=4, text="drop tcp any any -> any 8081 (flow:to_server; sid:4;)"),
    Rule(group="rg-b", sid=5, text="pass icmp any any -> any any (sid:5;)"),
)
CONFIG = Config(name="nfw-a", firewall="nfw", policy="policy", availability_zone="eu-west-1a", inward="in", outward="out", rules=RULES)
STRICT = replace(CONFIG, strict=True, default_actions=("aws:drop_established", "aws:alert_strict"))
FOLDER = PurePosixPath("/run/testbed/suricata/nfw-a")


@pytest.mark.parametrize(("name", "config"), [("by_action", CONFIG), ("strict", STRICT)])
def test_rules_are_the_golden_file(name, config):
    assert_golden(f"suricata_{name}.rules", rules_text(config))


def test_settings_are_the_golden_file():
    assert_golden("suricata.yaml", suricata_yaml(STRICT, FOLDER, 10.0))


@pytest.mark.parametrize("config", [CONFIG, STRICT, replace(CONFIG, rules=())])
def test_suricata_takes_them(config, tmp_path):
    program = find_program("suricata")
    if program is None:
        pytest.skip("needs the program suricata")
    for file in ("classification.config", "reference.config", "threshold.config"):
        (tmp_path / file).touch()
    (tmp_path / "suricata.yaml").write_text(suricata_yaml(config, tmp_path, 1.0).replace("filetype: unix_stream", "filetype: regular"))
    (tmp_path / "firewall.rules").write_text(rules_text(config))
    done = subprocess.run([program, "-T", "--simulate-ips", "-c", str(tmp_path / "suricata.yaml"), "-l", str(tmp_path), "--init-errors-fatal"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    warned = [said for said in done.stdout.splitlines() if said.startswith("W: ") and "livedev" not in said]
    assert warned == [] or not config.rules, "an engine without rules may say so"


def test_each_drop_before_a_pass_rule_has_a_silent_twin_and_the_pass_rule_asks_for_it():
    text = rules_text(STRICT)
    assert 'alert tcp any any -> any 8080 (flowbits:set,testbed.before-0; noalert; sid:4000001000;)' in text
    assert text.count("flowbits:isnotset,testbed.before-0;") == 2
    assert text.count("flowbits:isnotset,testbed.before-1;") == 1


def test_default_actions_are_known_by_their_sids():
    assert sorted(set(defaults(STRICT).values())) == ["aws:alert_strict", "aws:drop_established"]
    assert defaults(CONFIG) == {}


def test_a_configuration_survives_its_way_to_the_daemon():
    assert decode(encode(STRICT), Config) == STRICT


def test_a_log_line_is_suricatas_event_with_the_firewall_around():
    event = {"timestamp": "2026-11-23T00:20:46.635960+0000", "flow_id": 1, "in_iface": "in", "event_type": "alert", "alert": {"action": "blocked"}}
    said = json.loads(line(event, "nfw", "eu-west-1a"))
    assert said == {
        "firewall_name": "nfw",
        "availability_zone": "eu-west-1a",
        "event_timestamp": "1795393246",
        "event": {"timestamp": "2026-11-23T00:20:46.635960+0000", "flow_id": 1, "event_type": "alert", "alert": {"action": "blocked"}},
    }
