"""BIRD's words become sessions and routes, with why the best one won."""

import pytest

from testbed.observe.bgp import BgpRoute, decisive, routes, sessions

PROTOCOLS = """BIRD 2.0.12 ready.
Name       Proto      Table      State  Since         Info
device1    Device     ---        up     23:34:17.600  
bfd1       BFD        ---        up     23:34:17.600  
of:site    Pipe       ---        up     23:34:17.600  of-dxvif-a <=> site
dxvif-a    BGP        ---        up     23:34:18.639  Established   
  Description:    dxvif-a
  BGP state:          Established
    Neighbor address: 169.254.238.61%dxcon-a.101
    Neighbor AS:      64512
    Local AS:         65000
  Channel ipv4
    State:          UP
    Routes:         3 imported, 1 filtered, 2 exported, 3 preferred

dxvif-b    BGP        ---        start  23:41:43.836  Active        Socket: Connection closed
  BGP state:          Active
    Neighbor address: 169.254.9.1%dxcon-b.101
    Neighbor AS:      64512
    Local AS:         65000
    Last error:       BFD session down
"""
BFD = """BIRD 2.0.12 ready.
bfd1:
IP address                Interface  State      Since         Interval  Timeout
169.254.238.61            dxcon-a.101 Up         23:34:18.586    0.300    0.900
169.254.9.1               dxcon-b.101 Down       23:34:18.586    0.300    0.000
"""
ROUTES = """BIRD 2.0.12 ready.
Table master4:

Table vgw:
192.168.0.0/24       unicast [dxgw-a-amsterdam 23:41:37.751] * (59999) [AS65000i]
\tvia 100.127.222.232 on d-dxgw-a-1a3a19
\tType: BGP univ
\tBGP.origin: IGP
\tBGP.as_path: 65000 65000 65000 65000
\tBGP.next_hop: 100.127.222.232
\tBGP.med: 0
\tBGP.local_pref: 300
\tBGP.community: (7224,7300) (64512,9)
\tKernel.metric: 300
                     unicast [dxgw-a-london 23:41:37.776] (59999) [AS65000i]
\tvia 100.127.172.152 on d-dxgw-a-london
\tType: BGP univ
\tBGP.as_path: 65000
\tBGP.med: 0
\tBGP.local_pref: 100
\tKernel.metric: 300
10.0.0.0/16          unreachable [originated-vgw 23:41:36.991] * (60000)
\tType: static univ

Table of-dxgw-a-london:
10.0.0.0/16          unreachable [originated-vgw 23:41:36.991] * (60000)
\tType: static univ
"""


def test_sessions_have_neighbours_counts_and_bfd():
    up, down = sessions(PROTOCOLS, BFD)
    assert (up.name, up.neighbour, up.neighbour_asn, up.local_asn, up.state, up.received, up.advertised, up.bfd) == ("dxvif-a", "169.254.238.61", 64512, 65000, "Established", 4, 2, "Up")
    assert (down.name, down.state, down.since, down.cause, down.bfd) == ("dxvif-b", "Active", "23:41:43.836", "BFD session down", "Down")


def test_routes_of_the_routers_own_tables_come_best_first():
    own, best, other = routes(ROUTES)
    assert (own.prefix, own.session, own.best, own.next_hops, own.why) == ("10.0.0.0/16", "originated-vgw", True, (), "the only one")
    assert (best.session, best.as_path, best.med, best.local_preference, best.communities) == ("dxgw-a-amsterdam", ("65000",) * 4, 0, 300, ("7224:7300", "64512:9"))
    assert (best.best, other.best) == (True, False)
    assert best.why == "local preference 300 before 100"
    assert other.why == "behind: local preference 300 before 100"


def route(**more) -> BgpRoute:
    return BgpRoute(**({"table": "t", "prefix": "10.0.0.0/8", "session": "a", "best": True, "preference": 59999, "metric": 300, "local_preference": 100, "as_path": ("1",), "med": 0} | more))


@pytest.mark.parametrize(
    ("loser", "why"),
    [
        (route(metric=700, preference=59998), "kind: metric 300 before 700"),
        (route(local_preference=50), "local preference 100 before 50"),
        (route(as_path=("1", "1")), "AS path length 1 before 2"),
        (route(med=100), "MED 0 before 100"),
        (route(session="b"), "equal so far"),
    ],
)
def test_what_decided_is_the_first_thing_that_differs(loser, why):
    assert decisive(route(), loser).startswith(why)
