"""The shop's words: what a request may say, what a row becomes, and the SQL between them. Pure: no I/O.

Decides whether a body is acceptable (`parse`, raising `BadRequest` with the reason a person can act on), how a row is told, and its ETag
(RFC 9110 section 8.8.3: an opaque, strong validator; here the row's id and version, which every write moves on).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

import msgspec

LARGEST_PRICE_CENTS = 100_000_000
LARGEST_QUANTITY = 99


class BadRequest(Exception):
    """The client's fault; the message says which field and why."""


class NewProduct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What POST and PUT of a product carry. PostgreSQL's text cannot hold NUL."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
    price_cents: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_PRICE_CENTS)]


class NewCartItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What POST of a cart carries: so many more of one product."""

    product_id: Annotated[int, msgspec.Meta(ge=1, le=999_999_999)]
    quantity: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_QUANTITY)] = 1


class Product(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: str
    price_cents: int


class CartItem(msgspec.Struct, frozen=True, kw_only=True):
    product_id: int
    name: str
    price_cents: int
    quantity: int


class Cart(msgspec.Struct, frozen=True, kw_only=True):
    user: str
    items: tuple[CartItem, ...]
    total_cents: int


B = TypeVar("B", NewProduct, NewCartItem)


def parse(body: bytes, kind: type[B]) -> B:
    """The body as a `kind`. Raises `BadRequest`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # the first is ValidationError, too
        raise BadRequest(str(error)) from error


def product(row: Any) -> Product:
    """A row of `products`, as it is told."""
    return Product(id=row["id"], name=row["name"], price_cents=row["price_cents"])


def cart(user: str, rows: Iterable[Any]) -> Cart:
    """A user's rows, with what they cost together."""
    items = tuple(CartItem(product_id=row["product_id"], name=row["name"], price_cents=row["price_cents"], quantity=row["quantity"]) for row in rows)
    return Cart(user=user, items=items, total_cents=sum(item.price_cents * item.quantity for item in items))


def etag(row: Any) -> str:
    """The strong validator of a product's present state."""
    return f'"product-{row["id"]}-{row["version"]}"'


def matches(if_none_match: str | None, current: str) -> bool:
    """Whether an If-None-Match names the `current` ETag or ``*`` (RFC 9110 section 13.1.2, weak comparison)."""
    return if_none_match is not None and any(tag.strip().removeprefix("W/") in ("*", current) for tag in if_none_match.split(","))


def versions(if_match: str | None, product_id: int) -> str | None:
    """The versions of a product that an If-Match allows to be written, joined by commas; None: any (RFC 9110 section 13.1.1, strong comparison)."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = (re.fullmatch(rf'"product-{product_id}-([0-9]{{1,9}})"', tag.strip()) for tag in if_match.split(","))
    return ",".join(match[1] for match in found if match is not None)


SCHEMA_LOCK = 0x73686F70
"""The key of PostgreSQL's advisory lock under which one instance makes the tables while others wait."""

SCHEMA_IS_THERE = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'public' AND tablename = 'cart_items')"
"""By a look at the rows of the catalogue, which sees what was committed while we waited for the lock; ``to_regclass`` may answer from a cache of before."""

SCHEMA = """
CREATE TABLE products (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    price_cents integer NOT NULL CHECK (price_cents >= 0),
    version integer NOT NULL DEFAULT 1
);
CREATE TABLE cart_items (
    user_name text NOT NULL,
    product_id integer NOT NULL REFERENCES products ON DELETE CASCADE,
    quantity bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (user_name, product_id)
);
INSERT INTO products (name, price_cents) VALUES ('Kettle', 3900), ('Teapot', 2450), ('Cup and saucer', 1200), ('Tea towel', 650), ('Biscuit tin', 1575);
"""

LIST_PRODUCTS = "SELECT id, name, price_cents, version FROM products ORDER BY id"
GET_PRODUCT = "SELECT id, name, price_cents, version FROM products WHERE id = $1"
INSERT_PRODUCT = "INSERT INTO products (name, price_cents) VALUES ($1, $2) RETURNING id, name, price_cents, version"
# $2 is text: asyncpg would ask the server's catalogue about an array type before its first use.
UPDATE_PRODUCT = (
    "UPDATE products SET name = $3, price_cents = $4, version = version + 1 WHERE id = $1 AND ($2::text IS NULL OR version = ANY (string_to_array($2, ',')::integer[])) "
    "RETURNING id, name, price_cents, version"
)
DELETE_PRODUCT = "DELETE FROM products WHERE id = $1 AND ($2::text IS NULL OR version = ANY (string_to_array($2, ',')::integer[])) RETURNING id"
GET_CART = "SELECT c.product_id, p.name, p.price_cents, c.quantity FROM cart_items c JOIN products p ON p.id = c.product_id WHERE c.user_name = $1 ORDER BY c.product_id"
ADD_TO_CART = (
    "INSERT INTO cart_items AS c (user_name, product_id, quantity) SELECT $1, id, $3 FROM products WHERE id = $2 "
    "ON CONFLICT (user_name, product_id) DO UPDATE SET quantity = c.quantity + excluded.quantity RETURNING c.quantity"
)
