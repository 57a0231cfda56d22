"""A waterfall joins what curl, the daemons, the captures and the traces tell of one request."""

import recorded

from testbed.observe.journal import Journal, parse
from testbed.observe.waterfall import Span, Waterfall, assemble, find, is_complete

URL = "https://shop.example.com/products?r=2"


def miss() -> Waterfall:
    return assemble(
        url=URL, method="GET", node="client", plan=recorded.plan(), timings=recorded.timings(), entries=recorded.entries(), frames=recorded.frames(), verdicts=recorded.verdicts()
    )


def hit(frames=()) -> Waterfall:
    entries = tuple(parse("edge-lhr.cloudfront.jsonl", 0, [recorded.HIT]))
    return assemble(url=URL, method="GET", node="client", plan=recorded.plan(), timings=recorded.timings("hit", 14.0), entries=entries, frames=frames)


def of(waterfall: Waterfall, layer: str) -> list[Span]:
    return [span for span in waterfall.spans if span.layer == layer]


def test_a_miss_crosses_every_layer_in_order():
    first = list(dict.fromkeys(span.layer for span in miss().spans))
    assert first == ["DNS", "resolver", "authority", "TCP", "TLS", "edge", "verdicts", "origin", "ALB", "rule", "target", "app", "SQL", "answer"]


def test_spans_are_sorted_by_their_beginning_and_end_within_the_request():
    spans = miss().spans
    assert [span.start_ms for span in spans] == sorted(span.start_ms for span in spans)
    assert all(span.start_ms + (span.duration_ms or 0) <= 78.5 for span in spans)


def test_the_edge_is_found_by_its_request_id():
    seen = miss()
    assert (seen.result, seen.pop, seen.status) == ("Miss", "LHR50-C1", 200)
    assert of(seen, "edge")[0].evidence == ("edge-lhr.cloudfront.jsonl:1",)


def test_the_rule_and_the_target_are_named():
    assert of(miss(), "rule")[0].what == "listener-https#default, target group tg-web, target web-a 10.0.10.4:80"


def test_sql_is_shown_with_its_rows_and_its_log_line():
    (span,) = of(miss(), "SQL")
    assert span.what == "SELECT id, name, price_cents, version FROM products ORDER BY id (5 rows)"
    assert span.evidence[0] == "web-a.instance.jsonl:1"


def test_the_resolvers_question_is_proved_by_the_asked_servers_own_log():
    first = of(miss(), "authority")[0]
    assert first.what == "shop.example.com A: answer from ns-53.awsdns-06.com (anycast) 192.0.2.53"
    assert first.evidence == ("resolver-london.dns.jsonl:1", "edge-lhr.dns.jsonl:1")


def test_the_origins_name_is_resolved_under_the_edge():
    assert [(span.what.split(":")[0], span.depth) for span in of(miss(), "resolver")] == [("shop.example.com A", 1), ("origin.shop.example.com A", 2)]


def test_each_connection_has_the_verdicts_of_its_own_packets_only():
    words = [span.what for span in of(miss(), "verdicts")]
    assert words == ["client's side: sg-alb#ingress[1] accept", "to web-a: sg-web#ingress[0] accept", "to the database: acl-database#100 accept"]
    assert of(miss(), "verdicts")[1].evidence == ("vpc-shop: 1 verdicts traced",)


def test_packets_of_a_handshake_are_counted_where_they_were_seen():
    origin_connection = of(miss(), "TCP")[1]
    assert origin_connection.what == "connected to eni-alb-shop-a"
    assert origin_connection.evidence == ("edge-lhr.cloudfront.jsonl:1", "igw-shop/internet: 2 packets")


def test_a_miss_crosses_the_gateway_and_packets_are_counted_as_they_enter_it():
    assert miss().gateway_packets == 2


def test_a_hit_ends_at_the_edge_and_says_that_nothing_crossed_the_gateway():
    seen = hit(recorded.frames()[:1])
    assert [span.layer for span in seen.spans] == ["DNS", "TCP", "TLS", "edge", "gateway", "answer"]
    assert of(seen, "gateway")[0].what == "never reaches the VPC"
    assert seen.gateway_packets == 0


def test_a_hit_does_not_hide_packets_that_did_cross():
    assert hit((recorded.frame("igw-shop", "internet", 5.0, "203.0.113.12:36152", "198.51.100.12:443"),)).gateway_packets == 1


def test_logs_are_complete_only_when_every_layer_has_told():
    timings, entries = recorded.timings(), recorded.entries()
    assert is_complete(timings, find(timings, entries))
    for missing in ("edge-lhr.cloudfront.jsonl", "alb-shop-a.alb.jsonl", "web-a.instance.jsonl"):
        assert not is_complete(timings, find(timings, [entry for entry in entries if entry.file != missing]))


def test_a_journal_numbers_lines_from_the_files_beginning_and_leaves_out_what_is_older(tmp_path):
    log = tmp_path / "edge-lhr.cloudfront.jsonl"
    log.write_bytes(b'{"t":1,"service":"e","event":"ready"}\n' * 3)
    journal = Journal(tmp_path)
    with log.open("ab") as stream:
        stream.write(recorded.HIT + b'{"t":1795380071.0,"service":"edge-lh')  # a line that is not whole yet
    assert [entry.evidence for entry in journal.read()] == ["edge-lhr.cloudfront.jsonl:4"]
