"""Drawings of a plan."""

import shutil

import pytest
import recorded

from testbed.observe import graph


def test_nodes_are_boxed_by_vpc_and_subnet_and_by_city():
    vpc, city = sorted(graph.boxes(recorded.plan()), key=lambda box: box.title, reverse=True)
    assert (vpc.title, [box.title for box in vpc.boxes]) == ("vpc-shop", ["10.0.0.0/24", "10.0.10.0/24", "10.0.11.0/24", "10.0.20.0/24"])
    assert [node.name for node in vpc.nodes] == ["vpc-shop"]
    assert (city.title, city.boxes, len(city.nodes)) == ("city-london", (), 5)


def test_every_node_is_drawn_once_and_every_link_too():
    plan = recorded.plan()
    text = graph.dot(plan)
    assert all(text.count(f'"{node.name}" [label=') == 1 for node in plan.nodes)
    assert text.count(" -- ") == len(plan.links)


def test_mermaid_names_what_markdown_would_read_as_markup_safely():
    text = graph.mermaid(recorded.plan())
    assert text.startswith("flowchart LR\n")
    assert text.count(" --- ") == len(recorded.plan().links)


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")
def test_graphviz_accepts_the_drawing():
    assert b"<svg" in graph.drawn(recorded.plan())


def test_without_graphviz_the_remedy_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(graph.DrawingError, match="apt install graphviz"):
        graph.drawn(recorded.plan())
