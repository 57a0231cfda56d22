"""Faults of VPCs, subnets, addresses, route tables and public addresses."""

from testbed.model import ElasticIp, Instance, InternetGateway, NatGateway, NetworkAcl, NetworkInterface, Route, RouteTable, Subnet, Topology, User, Vpc
from testbed.resolve import resolve

from .small import faults, small, told, topology


def route(destination: str, **target: str) -> tuple[Route, ...]:
    return (Route(destination_cidr_block=destination, **target),)


def test_the_small_topology_has_no_fault():
    assert resolve(topology()).topology.name == "small"


def test_all_faults_are_told_at_once_and_sorted_by_resource():
    tiny = Subnet(id="sub-c", vpc_id="vpc-1", cidr_block="10.1.0.0/29", availability_zone="eu-west-1a")
    assert [fault.resource for fault in faults(topology(tiny, small("client", city="Londn"), small("eip-nat", region="mars")))] == ["client", "eip-nat", "eip-nat", "sub-c", "sub-c"]


def test_every_fault_has_a_remedy():
    assert all(fault.remedy for fault in faults(topology(small("web", subnet_id="sub-x"), small("sub-b", cidr_block="nonsense"))))


def test_two_resources_with_one_id_are_told_whatever_their_kinds():
    spoiled = Topology(name="small", resources=(*topology().resources, InternetGateway(id="web", vpc_id="vpc-2")))
    assert [(fault.resource, fault.problem) for fault in faults(spoiled)] == [("web", "2 resources have this id (Instance, InternetGateway)")]


def test_overlapping_subnets_are_told():
    assert told(Subnet(id="sub-c", vpc_id="vpc-1", cidr_block="10.0.0.128/25", availability_zone="eu-west-1a")) == [("sub-c", "cidr_block 10.0.0.128/25 overlaps 10.0.0.0/24 of sub-a")]


def test_overlapping_vpcs_are_no_fault():
    assert resolve(topology()).vpcs[0].vpc.cidr_block == resolve(topology()).vpcs[1].vpc.cidr_block


def test_a_subnet_outside_its_vpc_is_told():
    assert told(small("sub-b", cidr_block="10.1.0.0/24")) == [("sub-b", "cidr_block 10.1.0.0/24 is outside vpc-1's 10.0.0.0/16")]


def test_a_29_is_too_small_for_a_subnet():
    fault = faults(topology(Subnet(id="sub-c", vpc_id="vpc-1", cidr_block="10.0.5.0/29", availability_zone="eu-west-1a")))[0]
    assert (fault.resource, fault.problem) == ("sub-c", "cidr_block 10.0.5.0/29 has a /29 netmask")
    assert fault.remedy == "choose a block size between a /16 and a /28 netmask"


def test_a_15_is_too_large_for_a_vpc():
    assert told(Vpc(id="vpc-3", region="eu-west-1", cidr_block="10.0.0.0/15")) == [("vpc-3", "cidr_block 10.0.0.0/15 has a /15 netmask")]


def test_a_link_local_vpc_is_told():
    assert told(Vpc(id="vpc-3", region="eu-west-1", cidr_block="169.254.0.0/16")) == [("vpc-3", "cidr_block 169.254.0.0/16 is link-local")]


def test_a_subnet_in_a_zone_of_another_region_is_told():
    assert told(Subnet(id="sub-c", vpc_id="vpc-1", cidr_block="10.0.5.0/24", availability_zone="eu-west-2a")) == [
        ("sub-c", "Availability Zone eu-west-2a is not in vpc-1's Region eu-west-1"),
    ]


def test_an_unknown_region_is_told_with_the_most_alike():
    (fault,) = faults(topology(Vpc(id="vpc-3", region="eu-west-11", cidr_block="10.0.0.0/16")))
    assert (fault.resource, fault.problem, fault.remedy) == ("vpc-3", "region 'eu-west-11' is not known", "did you mean eu-west-1?")


def test_an_unknown_city_is_told():
    assert told(User(id="u", city="Atlantis")) == [("u", "city 'Atlantis' is not known")]


def test_an_unknown_edge_location_is_told():
    assert told(small("internet", edge_locations=("LHX",))) == [("internet", "edge location 'LHX' is not known")]


def test_a_taken_address_is_told():
    assert told(Instance(id="a", subnet_id="sub-b", private_ip_address="10.0.1.9"), Instance(id="b", subnet_id="sub-b", private_ip_address="10.0.1.9")) == [
        ("b", "private_ip_address 10.0.1.9 is already taken by a"),
    ]


def test_the_reserved_addresses_are_told():
    for host in (0, 1, 2, 3, 255):
        assert told(Instance(id="a", subnet_id="sub-b", private_ip_address=f"10.0.1.{host}")) == [("a", f"private_ip_address 10.0.1.{host} is reserved in sub-b")]


def test_an_address_outside_its_subnet_is_told():
    assert told(Instance(id="a", subnet_id="sub-b", private_ip_address="10.0.0.9")) == [("a", "private_ip_address 10.0.0.9 is outside sub-b's 10.0.1.0/24")]


def test_a_string_that_is_no_address_is_told():
    assert told(Instance(id="a", subnet_id="sub-b", private_ip_address="10.0.1.999")) == [("a", "private_ip_address '10.0.1.999' is not an IPv4 address")]


def test_a_full_subnet_is_told():
    subnet = Subnet(id="sub-c", vpc_id="vpc-1", cidr_block="10.0.5.0/28", availability_zone="eu-west-1a")
    assert told(subnet, *(Instance(id=f"i-{index}", subnet_id="sub-c") for index in range(12))) == [("sub-c", "12 private addresses, but 10.0.5.0/28 has 11 free addresses")]


def test_an_interface_in_another_zone_than_its_instance_is_told():
    assert told(NetworkInterface(id="eni-x", subnet_id="sub-b", instance_id="web")) == [("eni-x", "attached to web in eu-west-1a, but its subnet is in eu-west-1b")]


def test_an_interface_in_another_vpc_than_its_instance_is_told():
    assert told(NetworkInterface(id="eni-x", subnet_id="sub-other", instance_id="web")) == [("eni-x", "attached to web, which is in vpc-1, not vpc-2")]


def test_a_second_internet_gateway_is_told():
    assert told(InternetGateway(id="igw-2", vpc_id="vpc-1")) == [("igw-2", "vpc-1 already has the internet gateway igw-1")]


def test_two_main_route_tables_are_told():
    assert told(RouteTable(id="rtb-3", vpc_id="vpc-1", main=True)) == [("rtb-3", "vpc-1 already has the main route table rtb-2")]


def test_a_subnet_in_two_route_tables_is_told():
    assert told(RouteTable(id="rtb-3", vpc_id="vpc-1", associations=("sub-a",))) == [("sub-a", "associated with two route tables, rtb-1 and rtb-3")]


def test_a_subnet_in_two_network_acls_is_told():
    assert told(NetworkAcl(id="acl-2", vpc_id="vpc-1", associations=("sub-a",))) == [("sub-a", "associated with two network ACLs, acl-1 and acl-2")]


def test_a_table_associated_with_another_vpcs_subnet_is_told():
    assert told(small("rtb-2", associations=("sub-other",))) == [("rtb-2", "associated with sub-other, a subnet of vpc-2")]


def test_a_route_without_a_target_is_told():
    assert told(small("rtb-2", routes=route("0.0.0.0/0"))) == [("rtb-2 0.0.0.0/0", "the route has no target")]


def test_a_route_with_two_targets_is_told():
    assert told(small("rtb-2", routes=route("0.0.0.0/0", gateway_id="igw-1", nat_gateway_id="nat-1"))) == [("rtb-2 0.0.0.0/0", "the route has 2 targets")]


def test_two_routes_to_one_destination_are_told():
    assert told(small("rtb-2", routes=route("0.0.0.0/0", gateway_id="igw-1") * 2)) == [("rtb-2 0.0.0.0/0", "2 routes have this destination")]


def test_a_route_to_another_vpcs_gateway_is_told():
    assert told(RouteTable(id="rtb-3", vpc_id="vpc-2", routes=route("0.0.0.0/0", gateway_id="igw-1"))) == [("rtb-3 0.0.0.0/0", "target igw-1 is in vpc-1, not in vpc-2")]


def test_a_route_to_another_vpcs_nat_gateway_is_told():
    assert told(RouteTable(id="rtb-3", vpc_id="vpc-2", routes=route("0.0.0.0/0", nat_gateway_id="nat-1"))) == [("rtb-3 0.0.0.0/0", "target nat-1 is in vpc-1, not in vpc-2")]


def test_a_route_into_the_link_local_services_is_told():
    assert told(small("rtb-2", routes=route("169.254.169.0/24", gateway_id="igw-1"))) == [
        ("rtb-2 169.254.169.0/24", "the destination is within 169.254.168.0/22, which AWS keeps for its services"),
    ]


def test_a_wider_route_over_the_link_local_services_is_accepted():
    assert resolve(topology(small("rtb-2", routes=route("169.254.0.0/16", gateway_id="igw-1"))))


def test_a_route_more_specific_than_local_must_name_a_whole_subnet():
    assert told(small("rtb-2", routes=route("10.0.0.128/25", nat_gateway_id="nat-1"))) == [
        ("rtb-2 10.0.0.128/25", "more specific than the local route, but not the block of a subnet"),
    ]


def test_a_route_more_specific_than_local_must_not_lead_to_an_internet_gateway():
    assert told(small("rtb-2", routes=route("10.0.0.0/24", gateway_id="igw-1"))) == [
        ("rtb-2 10.0.0.0/24", "more specific than the local route, but its target is an internet gateway"),
    ]


def test_a_subnets_whole_block_may_be_routed_to_an_interface():
    assert resolve(topology(small("rtb-2", routes=route("10.0.0.0/24", network_interface_id="eni-second"))))


def test_the_local_route_may_be_replaced_by_a_nat_gateway_but_not_by_an_internet_gateway():
    resolve(topology(small("rtb-2", routes=route("10.0.0.0/16", nat_gateway_id="nat-1"))))
    assert told(small("rtb-2", routes=route("10.0.0.0/16", gateway_id="igw-1"))) == [("rtb-2 10.0.0.0/16", "has the local route's destination, but its target is an internet gateway")]


def test_a_route_to_an_instance_with_two_interfaces_is_told():
    assert told(small("rtb-2", routes=route("0.0.0.0/0", instance_id="web"))) == [("rtb-2 0.0.0.0/0", "target web has more than one network interface")]


def test_a_nat_gateway_whose_subnet_leads_nowhere_is_no_fault():
    assert resolve(topology(small("nat-1", subnet_id="sub-b")))


def test_an_address_for_a_vpc_without_internet_gateway_is_told():
    assert told(ElasticIp(id="eip-x", region="eu-west-1", instance_id="other")) == [("eip-x", "other is in vpc-2, which is not attached to any internet gateway")]


def test_an_address_of_another_region_is_told():
    assert told(ElasticIp(id="eip-x", region="eu-west-2", instance_id="web")) == [("eip-x", "an address of eu-west-2 for web in eu-west-1")]


def test_a_public_address_taken_twice_is_told():
    assert told(small("eip-nat", public_ip="198.19.12.50"), ElasticIp(id="eip-x", region="eu-west-1", public_ip="198.19.12.50")) == [
        ("eip-x", "public_ip 198.19.12.50 is already taken by eip-nat"),
    ]


def test_a_public_address_outside_the_regions_pool_is_told():
    assert told(small("eip-nat", public_ip="192.0.2.77")) == [("eip-nat", "public_ip 192.0.2.77 is not one of eu-west-1's addresses in this lab")]


def test_an_allocation_for_two_nat_gateways_is_told():
    assert told(NatGateway(id="nat-2", subnet_id="sub-b", allocation_id="eip-nat")) == [("nat-2", "allocation_id eip-nat is already associated with nat-1")]


def test_an_allocation_for_a_nat_gateway_and_an_instance_is_told():
    assert told(small("eip-nat", instance_id="web")) == [("eip-nat", "associated with web and with nat-1")]


def test_two_allocations_for_one_interface_are_told():
    assert told(ElasticIp(id="eip-x", region="eu-west-1", instance_id="web"), ElasticIp(id="eip-y", region="eu-west-1", instance_id="web")) == [
        ("eip-y", "eni-web already has the Elastic IP address eip-x"),
    ]


def test_an_allocation_for_an_instance_and_an_interface_is_told():
    assert ("eip-x", "associated with an instance and with a network interface") in told(
        ElasticIp(id="eip-x", region="eu-west-1", instance_id="web", network_interface_id="eni-second")
    )


def test_a_time_scale_of_zero_is_told():
    assert told(time_scale=0.0) == [("small", "time_scale 0.0 is not positive")]


def test_an_id_that_cannot_name_a_node_is_told():
    for resource_id in ("Web", "9web", "web_a", "w" * 64):
        assert told(Instance(id=resource_id, subnet_id="sub-b")) == [(resource_id, "the id cannot be the name of a node")]


def test_an_id_that_is_the_name_of_a_balancers_node_is_told():
    assert told(Instance(id="alb-a", subnet_id="sub-b")) == [("alb-a", "the id is the name of a node that alb brings")]


def test_an_id_that_is_the_name_of_an_edge_location_is_told():
    assert told(Instance(id="edge-lhr", subnet_id="sub-b")) == [("edge-lhr", "the id is the name of a node that internet brings")]


def test_the_id_of_what_aws_makes_with_a_vpc_is_told():
    assert told(RouteTable(id="rtb-main-vpc-2", vpc_id="vpc-1")) == [("rtb-main-vpc-2", "the id belongs to what AWS makes with vpc-2")]


def test_a_topology_whose_values_are_all_nonsense_gives_faults_and_no_crash():
    nonsense = Topology(
        name="Nonsense!",
        account="1",
        resources=(
            Vpc(id="v", region="?", cidr_block="?"),
            Subnet(id="s", vpc_id="v", cidr_block="?", availability_zone=""),
            Subnet(id="t", vpc_id="?", cidr_block="10.0.0.0/31", availability_zone="x"),
            Instance(id="i", subnet_id="s", private_ip_address="?"),
            Instance(id="j", subnet_id="t", private_ip_address="10.0.0.0"),
            RouteTable(id="r", vpc_id="v", routes=route("?", gateway_id="?"), associations=("s", "?")),
            ElasticIp(id="e", region="?", public_ip="?", instance_id="?"),
        ),
    )
    assert {"Nonsense!", "v", "s", "t", "i", "j", "r", "r ?", "e"} <= {fault.resource for fault in faults(nonsense)}
