"""Transforms of a rule: what a target gets instead of what was asked for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alb.config import Rewrite
from services.alb.transform import TransformFailed, Transforms


def transforms(host: Rewrite | None = None, url: Rewrite | None = None) -> Transforms:
    made = Transforms.of(host, url)
    assert made is not None
    return made


def test_groups_stand_where_they_are_named():
    made = transforms(url=Rewrite(regex="^/shop/([a-z]+)/([0-9]+)", replace="/$2-$1"))
    assert made.url_of(b"/shop/tea/7?x=/shop/a/1") == b"/7-tea?x=/shop/a/1"
    assert made.host_of(b"shop.example.com") == b"shop.example.com"


def test_without_a_match_nothing_changes():
    assert transforms(url=Rewrite(regex="^/old", replace="/new")).url_of(b"/older/../x") == b"/newer/../x"
    assert transforms(url=Rewrite(regex="^/old$", replace="/new")).url_of(b"/x") == b"/x"


def test_a_backslash_stands_for_itself():
    assert transforms(url=Rewrite(regex="^/a", replace=r"/\1b")).url_of(b"/a") == rb"/\1b"


@pytest.mark.parametrize(("what", "value"), [(Rewrite(regex=".*", replace=""), b"/a"), (Rewrite(regex="^/", replace=""), b"/a"), (Rewrite(regex="a", replace="a b"), b"/a")])
def test_what_is_no_url_any_more_fails(what: Rewrite, value: bytes):
    with pytest.raises(TransformFailed):
        transforms(url=what).url_of(value)


@pytest.mark.parametrize("replace", ["", "a b", "a/b", "a\r\nX: y"])
def test_what_is_no_host_any_more_fails(replace: str):
    with pytest.raises(TransformFailed):
        transforms(host=Rewrite(regex="^.*$", replace=replace)).host_of(b"shop.example.com")


def test_a_group_that_is_not_there_is_told_at_once():
    with pytest.raises(re.error):
        Transforms.of(Rewrite(regex="a", replace="$1"), None)


@given(st.binary(max_size=60), st.text(alphabet="ab$19\\ \r\n/?", max_size=12))
def test_whatever_comes_out_is_a_url_or_a_failure(url: bytes, replace: str):
    try:
        made = Transforms.of(None, Rewrite(regex="(a)(b)?(c)?(d)?(e)?(f)?(g)?(h)?(i)?", replace=replace))
        assert made is not None
        result = made.url_of(url)
    except TransformFailed:
        return
    assert result.startswith(b"/")
    assert not any(byte <= 0x20 or byte == 0x7F for byte in result)
