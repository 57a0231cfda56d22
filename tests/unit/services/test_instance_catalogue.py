"""What the shop accepts, and how it tells rows and their versions."""

import pytest

from services.instance.catalogue import BadRequest, NewCartItem, NewProduct, cart, etag, matches, parse, versions

ROW = {"id": 7, "name": "Teapot", "price_cents": 2450, "version": 3}


def test_a_product_is_a_name_and_a_price():
    assert parse(b'{"name": "Mug", "price_cents": 0}', NewProduct) == NewProduct(name="Mug", price_cents=0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "truncated"),
        (b"name=Mug", "malformed"),
        (b'{"name": "Mug"}', "price_cents"),
        (b'{"name": "Mug", "price_cents": "1"}', r"\$\.price_cents"),
        (b'{"name": "Mug", "price_cents": 1.5}', r"\$\.price_cents"),
        (b'{"name": "Mug", "price_cents": -1}', r"\$\.price_cents"),
        (b'{"name": "Mug", "price_cents": 3000000000}', r"\$\.price_cents"),
        (b'{"name": "", "price_cents": 1}', r"\$\.name"),
        (b'{"name": "nul\\u0000", "price_cents": 1}', r"\$\.name"),
        (b'{"name": "\\ud800", "price_cents": 1}', "truncated|surrogate|character"),
        (b'{"name": "\xff", "price_cents": 1}', "utf-8"),
        (b'{"name": "Mug", "price_cents": 1, "colour": "red"}', "colour"),
        (b"[]", "object"),
    ],
)
def test_anything_else_is_refused_with_the_reason(body, reason):
    with pytest.raises(BadRequest, match=f"(?i){reason}"):
        parse(body, NewProduct)


def test_one_is_the_quantity_nobody_named():
    assert parse(b'{"product_id": 7}', NewCartItem).quantity == 1


def test_a_cart_costs_what_its_items_cost_together():
    rows = [{"product_id": 7, "name": "Teapot", "price_cents": 2450, "quantity": 2}, {"product_id": 8, "name": "Mug", "price_cents": 300, "quantity": 1}]
    assert cart("ann", rows).total_cents == 5200


def test_an_etag_differs_for_each_version_of_each_product():
    tags = {etag(ROW), etag(ROW | {"version": 4}), etag(ROW | {"id": 8})}
    assert len(tags) == 3
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)


@pytest.mark.parametrize(
    ("header", "expected"), [(None, False), ("*", True), (etag(ROW), True), (f'"other", W/{etag(ROW)}', True), (etag(ROW | {"version": 4}), False), ("", False)]
)
def test_if_none_match_compares_weakly_with_any_of_its_tags(header, expected):
    assert matches(header, etag(ROW)) is expected


@pytest.mark.parametrize(
    ("header", "expected"), [(None, None), ("*", None), (etag(ROW), "3"), (f'{etag(ROW)}, "product-7-5"', "3,5"), (f"W/{etag(ROW)}", ""), ('"product-8-3"', ""), ("nonsense", "")]
)
def test_if_match_allows_the_versions_of_its_strong_tags_of_this_product(header, expected):
    assert versions(header, 7) == expected
