"""Set-up's promises, tried on a made-up machine: a copy of setup.sh in an empty checkout, and a PATH of stand-ins for apt, sudo and python3."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.engine.programs import PROGRAMS

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "testbed" / "setup.sh"
TOOLS = ("awk", "cat", "chmod", "chown", "cut", "df", "dirname", "env", "flock", "grep", "id", "ls", "mkdir", "mktemp", "printf", "rm", "sha256sum", "sh", "stat", "tee")
GOOD_PYTHON = """#!/bin/sh
case $* in
    *'-m venv '*) for last; do :; done; mkdir -p "$last/bin"; cp "$0" "$last/bin/python"; cp "$HERE/testbed-stand-in" "$last/bin/testbed"
                    echo "#!$last/bin/python" > "$last/bin/pip"; echo venv >> "$HERE/calls" ;;
    *'-m pip install'*) echo pip >> "$HERE/calls"; [ -z "$PIP_FAILS" ] || { echo "$PIP_FAILS"; exit 1; } ;;
    *'-m ruff'* | *'-m mypy'* | *'-m pytest'*) echo "$*" >> "$HERE/calls" ;;
esac
"""
POLICY = "usr/sbin/policy-rc.d"
CLUSTER = "etc/postgresql-common/createcluster.d/testbed.conf"
APT = f"""#!/bin/sh
case $* in *' install '*nftables*)
    cat "$HERE/{POLICY}" "$HERE/{CLUSTER}" > "$HERE/during"
    printf '#!/bin/sh\\n' > "$HERE/bin/nft"
    chmod 755 "$HERE/bin/nft" ;;
esac
"""
BACKPORTS = """#!/bin/sh
case $* in
    indextargets*) echo 'http://mirror.example/debian-security bookworm-security'; echo 'http://mirror.example/debian bookworm' ;;
    *' -t bookworm-backports suricata')
        for word in "$@"; do case $word in Dir::Etc::sourcelist=*) cat "${word#*=}" > "$HERE/during" ;; esac; done
        printf '#!/bin/sh\\n' > "$HERE/bin/suricata"
        chmod 755 "$HERE/bin/suricata" ;;
    *' update') ;;
    *) exit 100 ;;
esac
"""
SUDO = """#!/bin/sh
case $1 in -n | -v) exit 0 ;; esac
exec "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine with just what a test puts on it."""

    home: Path

    @property
    def checkout(self) -> Path:
        return self.home / "checkout"

    @property
    def calls(self) -> list[str]:
        file = self.home / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def install(self, name: str, text: str = "#!/bin/sh\n") -> None:
        path = self.home / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def remove(self, name: str) -> None:
        (self.home / "bin" / name).unlink()

    def setup(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run setup.sh with nothing but this machine's programs on its PATH."""
        script = self.checkout / "testbed" / "setup.sh"
        variables = {"PATH": str(self.home / "bin"), "HERE": str(self.home), "TMPDIR": str(self.home / "tmp"), "PYTHON": "python3", "PIP_FAILS": "", **environment}
        return subprocess.run(["/bin/sh", str(script), *arguments], env=variables, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Debian with all packages and a good Python; without .venv."""
    for folder in ("bin", "tmp", "checkout/testbed"):
        (tmp_path / folder).mkdir(parents=True)
    made_up = Machine(home=tmp_path)
    # The real machine must neither help out nor be changed.
    script = SCRIPT.read_text().replace("PATH=$PATH:/usr/sbin:/sbin\n", "").replace(f"/{POLICY}", f"{tmp_path}/{POLICY}").replace(f"/{CLUSTER}", f"{tmp_path}/{CLUSTER}").replace("/dev/net/tun", f"{tmp_path}/tun")
    (made_up.checkout / "testbed" / "setup.sh").write_text(script)
    for file in ("setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / file, made_up.checkout)
    for tool in (*TOOLS, "cp"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or f"/usr/bin/{tool}")
    for program in PROGRAMS:
        made_up.install(program.name)
    made_up.install("haproxy")
    made_up.install("python3", GOOD_PYTHON)
    made_up.install("sudo", SUDO)
    (tmp_path / "testbed-stand-in").write_text('#!/bin/sh\nfor a in "$@"; do echo "[$a]"; done\n')
    (tmp_path / "testbed-stand-in").chmod(0o755)
    return made_up


def complaint(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that a failure prints."""
    assert result.returncode not in (0, 2), result.stdout
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("setup: "), result.stderr
    return result.stderr


def test_it_is_plain_posix_shell():
    shell = shutil.which("dash") or "/bin/sh"
    assert subprocess.run([shell, "-n", str(SCRIPT)], capture_output=True).returncode == 0


def test_it_installs_the_programs_that_preflight_looks_for():
    for name, everywhere in (("PROGRAMS", True), ("WHERE_OFFERED", False)):
        listed = re.search(rf"^{name}='([^']+)'", SCRIPT.read_text(), re.MULTILINE)
        assert listed and sorted(listed[1].split()) == sorted(f"{program.name}:{program.package}" for program in PROGRAMS if program.everywhere is everywhere)


def test_what_apt_does_not_offer_is_told_and_done_without(machine):
    machine.remove("suricata")
    machine.install("apt-get", "#!/bin/sh\nexit 100\n")
    result = machine.setup("install")
    assert result.returncode == 0, result.stderr
    assert "does not offer suricata" in result.stdout
    assert machine.setup("install").stdout == "", "and not asked for again"


def test_where_only_backports_have_it_no_source_stays_behind(machine):
    """Debian 12's Suricata: asked for with a list of sources and an index that are gone afterwards."""
    machine.remove("suricata")
    machine.install("apt-get", BACKPORTS)
    release, script = machine.home / "os-release", machine.checkout / "testbed" / "setup.sh"
    release.write_text("VERSION_CODENAME=bookworm\n")
    script.write_text(script.read_text().replace(". /etc/os-release", f". {release}"))
    result = machine.setup("install")
    assert result.returncode == 0, result.stderr
    assert (machine.home / "bin" / "suricata").exists(), result.stdout
    assert "http://mirror.example/debian bookworm-backports main" in (machine.home / "during").read_text()
    assert list((machine.home / "tmp").iterdir()) == []


def test_a_first_run_sets_up_then_runs_what_was_asked_with_its_arguments_as_they_are(machine):
    result = machine.setup("demo", "--name", "two words", "")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-4:] == ["[demo]", "[--name]", "[two words]", "[]"]


def test_a_second_run_installs_nothing(machine):
    machine.setup("install")
    result = machine.setup("demo")
    assert (result.stdout, result.stderr, machine.calls) == ("[demo]\n", "", ["venv", "pip"])


@pytest.mark.parametrize("file", ["setup.cfg", "pyproject.toml", "testbed/setup.sh"])
def test_it_installs_again_when_what_it_installs_from_has_changed(machine, file):
    machine.setup("install")
    with (machine.checkout / file).open("a") as text:
        text.write("# changed\n")
    machine.setup("install")
    assert machine.calls == ["venv", "pip", "pip"]


def test_a_program_that_was_removed_comes_back_and_the_venv_stays(machine):
    machine.setup("install")
    machine.remove("nft")
    machine.install("apt-get", APT)
    result = machine.setup("install")
    assert result.returncode == 0 and "installing apt packages: nftables" in result.stdout
    assert machine.calls == ["venv", "pip"]


def test_a_package_that_apt_believes_installed_but_whose_program_is_gone_is_named(machine):
    machine.remove("nft")
    machine.install("apt-get")
    assert "--reinstall nftables" in complaint(machine.setup("install"))


def test_while_apt_works_no_service_starts_and_no_cluster_is_made_and_afterwards_all_is_as_before(machine):
    machine.remove("nft")
    machine.install("apt-get", APT)
    machine.setup("install")
    assert (machine.home / "during").read_text() == "#!/bin/sh\nexit 101\ncreate_main_cluster = false\n"
    assert not (machine.home / POLICY).exists() and not (machine.home / CLUSTER).exists()


def test_an_administrators_own_policy_is_left_alone(machine):
    (machine.home / POLICY).parent.mkdir(parents=True)
    (machine.home / POLICY).write_text("mine\n")
    machine.remove("nft")
    machine.install("apt-get", APT)
    machine.setup("install")
    assert (machine.home / POLICY).read_text() == "mine\n"


def test_a_broken_off_set_up_is_done_again(machine):
    machine.setup("install", PIP_FAILS="boom")
    assert machine.setup("install").returncode == 0
    assert machine.calls == ["venv", "pip", "pip"]


def test_a_checkout_that_has_moved_gets_a_venv_of_its_own(machine):
    machine.setup("install")
    machine.checkout.rename(machine.home / "elsewhere")
    (machine.home / "checkout").symlink_to("elsewhere")
    machine.setup("install")
    assert machine.calls == ["venv", "pip", "venv", "pip"]


def test_the_tests_come_after_the_linters_and_alone_where_options_name_some(machine):
    machine.setup("install")
    machine.setup("test")
    machine.setup("test", "tests/unit", "-x")
    assert machine.calls[2:] == ["-m ruff check", "-m mypy", "-m pytest -n auto --dist loadfile", "-m pytest tests/unit -x"]


def test_an_unknown_word_prints_the_usage(machine):
    result = machine.setup("instal")
    assert result.returncode == 2 and result.stderr.startswith("usage: ")


def test_an_old_python_is_named_with_the_remedy(machine):
    machine.install("python3", '#!/bin/sh\n[ "$1" != -V ] || echo Python 3.9.2\n[ "$1" = -V ]\n')
    line = complaint(machine.setup("install"))
    assert "has 3.9.2" in line and "PYTHON=" in line


def test_no_python_at_all_is_named_too(machine):
    machine.remove("python3")
    assert "Python 3.11 or newer is needed" in complaint(machine.setup("install"))


def test_a_machine_without_apt_is_told_what_is_missing(machine):
    machine.remove("nft")
    line = complaint(machine.setup("install"))
    assert "no apt" in line and "nftables" in line


@pytest.fixture
def as_alice(machine):
    """On a machine where nft is missing, somebody who is not root."""
    machine.remove("nft")
    machine.install("apt-get", "#!/bin/sh\n")
    (machine.home / "bin" / "id").unlink()
    machine.install("id", '#!/bin/sh\ncase $1 in -u) echo 1000 ;; *) echo alice ;; esac\n')
    return machine


def test_without_sudo_an_administrator_is_asked_for_by_the_command_to_run(as_alice):
    as_alice.remove("sudo")
    line = complaint(as_alice.setup("install"))
    assert "no sudo" in line and "as root" in line


def test_a_sudo_that_wants_a_password_where_nobody_can_type_one_is_not_asked(as_alice):
    as_alice.install("sudo", '#!/bin/sh\n[ "$1" != -n ]\n')
    assert "sudo sh testbed/setup.sh install" in complaint(as_alice.setup("install"))


def test_a_checkout_that_is_somebody_elses_is_named(machine):
    (machine.home / "bin" / "id").unlink()
    machine.install("id", "#!/bin/sh\ncase $1 in -u) echo 1000 ;; *) echo bob ;; esac\n")
    script = machine.checkout / "testbed" / "setup.sh"
    script.write_text(script.read_text().replace('[ -w "$ROOT" ]', "false"))  # root, who may run this test, may write anywhere
    assert "bob may not write" in complaint(machine.setup("install"))


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("Temporary failure in name resolution", "the network cannot be reached"),
        ("ERROR: [Errno 28] No space left on device", "the disk is full"),
        ("SSLError(SSLCertVerificationError: certificate verify failed)", "PIP_CERT"),
        ("ERROR: no matching distribution", "see the log"),
    ],
)
def test_what_pip_could_not_do_is_one_line_with_the_remedy_and_the_log(machine, said, remedy):
    line = complaint(machine.setup("install", PIP_FAILS=said))
    assert remedy in line
    log = re.search(r"\(log: ([^)]+)\)", line)
    assert log and said in Path(log[1]).read_text()


def test_a_full_disk_is_noticed_before_anything_is_made(machine):
    (machine.home / "bin" / "df").unlink()
    machine.install("df", "#!/bin/sh\nprintf 'Filesystem 1024-blocks Used Available\\n/dev/vda 9 9 51200\\n'\n")
    assert "only 50 MiB are free" in complaint(machine.setup("install"))
    assert not (machine.checkout / ".venv").exists()


def test_a_good_set_up_leaves_no_log(machine):
    machine.setup("install")
    assert list((machine.home / "tmp").iterdir()) == []


def test_the_vagrantfile_is_valid(tmp_path):
    vagrant = shutil.which("vagrant")
    if vagrant is None:
        pytest.skip("vagrant is not installed")
    result = subprocess.run([vagrant, "validate", "--ignore-provider"], cwd=ROOT, env={**os.environ, "VAGRANT_CHECKPOINT_DISABLE": "1", "VAGRANT_DOTFILE_PATH": str(tmp_path)}, capture_output=True, text=True, timeout=100)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_vagrantfile_provisions_with_the_same_script_from_a_synced_folder():
    text = (ROOT / "Vagrantfile").read_text()
    folder = re.search(r'synced_folder "\.", "(/home[^"]+)"', text)
    assert folder and f"sh {folder[1]}/testbed/setup.sh install" in text
    assert {'"virtualbox"', '"libvirt"'} <= set(re.findall(r'config\.vm\.provider ("\w+")', text))
