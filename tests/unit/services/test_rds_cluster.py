"""Which PostgreSQL is run, and how a cluster comes to its place on disk. No server is started here."""

import os
import threading

import pytest

from services.rds import cluster
from services.rds.cluster import ClusterError, find_binaries, kept_cluster, locked, major, make_data_directory, version


def programs(folder, said="postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)"):
    """A folder with a `postgres` that says its version and an `initdb` that leaves a mark for each time it is run."""
    folder.mkdir(parents=True)
    (folder / "postgres").write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{said}"\nexit 0\n')
    (folder / "initdb").write_text('#!/bin/sh\nfor a; do case $a in --pgdata=*) d=${a#--pgdata=};; esac; done\nmkdir "$d" && sleep 0.05 && echo 15 > "$d/PG_VERSION" && echo run >> "$(dirname "$0")/runs"\n')
    for program in ("postgres", "initdb"):
        (folder / program).chmod(0o755)
    return folder


def test_the_newest_of_the_distributions_versions_is_run(tmp_path, monkeypatch):
    for number in ("9", "15", "16"):
        programs(tmp_path / number / "bin")
    monkeypatch.setattr(cluster, "WHERE_DISTRIBUTIONS_PUT_IT", tmp_path)
    assert find_binaries(None) == tmp_path / "16" / "bin"


def test_without_a_distributions_package_the_one_on_the_path_is_run(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "WHERE_DISTRIBUTIONS_PUT_IT", tmp_path / "nothing")
    monkeypatch.setenv("PATH", str(programs(tmp_path / "own")))
    assert find_binaries(None) == tmp_path / "own"


def test_without_any_server_the_error_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "WHERE_DISTRIBUTIONS_PUT_IT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="install the distribution's package `postgresql`"):
        find_binaries(None)


def test_configured_binaries_are_not_silently_replaced_by_others(tmp_path):
    with pytest.raises(ClusterError, match=str(tmp_path / "elsewhere")):
        find_binaries(str(tmp_path / "elsewhere"))


def test_the_version_is_what_the_server_says(tmp_path):
    assert version(programs(tmp_path / "release")) == "15.8"
    assert version(programs(tmp_path / "beta", "postgres (PostgreSQL) 18beta1")) == "18beta1"
    assert (major("15.8"), major("18beta1")) == (15, 18)


def test_labs_that_begin_together_initialise_one_cluster_between_them(tmp_path):
    binaries, kept = programs(tmp_path / "bin"), []
    labs = [threading.Thread(target=lambda: kept.append(kept_cluster(binaries, "15.8", tmp_path / "cache"))) for _ in range(4)]
    for lab in labs:
        lab.start()
    for lab in labs:
        lab.join()
    assert len(set(kept)) == 1
    assert (binaries / "runs").read_text() == "run\n"
    assert (kept[0] / "pg_hba.conf").read_text() == cluster.ACCESS


def test_what_a_crash_left_half_made_is_made_anew(tmp_path):
    binaries = programs(tmp_path / "bin")
    kept = kept_cluster(binaries, "15.8", tmp_path / "cache")
    kept.rename(kept.with_name(f"{kept.name}.partial"))
    half = tmp_path / "lab" / "data.partial"
    half.mkdir(parents=True)
    (half / "garbage").touch()
    assert make_data_directory(tmp_path / "lab" / "data", binaries, "15.8", tmp_path / "cache")
    assert sorted(path.name for path in (tmp_path / "lab").iterdir()) == ["data"]
    assert sorted(path.name for path in (tmp_path / "lab" / "data").iterdir()) == ["PG_VERSION", "pg_hba.conf"]


def test_a_copy_is_its_owners_alone_whatever_the_umask(tmp_path):
    data, before = tmp_path / "data", os.umask(0)
    try:
        make_data_directory(data, programs(tmp_path / "bin"), "15.8", tmp_path / "cache")
    finally:
        os.umask(before)
    assert data.stat().st_mode & 0o777 == 0o700


def test_a_data_directory_that_exists_is_left_alone(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    assert not make_data_directory(data, tmp_path / "no-programs", "15.8", tmp_path / "cache")
    assert list(data.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_told_with_its_remedy(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ClusterError, match="set XDG_CACHE_HOME"):
        kept_cluster(programs(tmp_path / "bin"), "15.8", tmp_path / "file" / "cache")


def test_a_failing_program_is_told_with_what_it_said(tmp_path):
    binaries = programs(tmp_path / "bin")
    (binaries / "initdb").write_text("#!/bin/sh\necho 'no space left' >&2; exit 1\n")
    with pytest.raises(ClusterError, match=r"initdb .* failed: no space left"):
        kept_cluster(binaries, "15.8", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("postgresql-*[!k]"))


def test_a_lock_is_held_by_whoever_inherited_it(tmp_path):
    with locked(tmp_path / "lock") as descriptor:
        inherited = os.dup(descriptor)
    got_it = threading.Event()

    def next_one():
        with locked(tmp_path / "lock"):
            got_it.set()

    waiting = threading.Thread(target=next_one)
    waiting.start()
    assert not got_it.wait(0.05)
    os.close(inherited)
    assert got_it.wait(2)
    waiting.join()
