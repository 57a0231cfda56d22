"""What varies between students in "Survive an Availability Zone", and what is broken."""

from testbed.labs.exercise import Break, Draw, Edit, Exercise, Question

BOTH = '            vpc_zone_identifier=("private-a", "private-b"),'
PRIVATE_B = '        Subnet(id="private-b", vpc_id="vpc-shop", cidr_block="10.20.12.0/24", availability_zone=ZONE_B),'
HEALTH = '            health_check_type="ELB",'
TABLE_A = 'id="rtb-private-a", vpc_id="vpc-shop", associations=("private-a",)'
TABLE_B = 'id="rtb-private-b", vpc_id="vpc-shop", associations=("private-b",)'
WAY_OUT_B = 'nat_gateway_id="nat-b"'

EXERCISE = Exercise(
    name="survive_an_az",
    summary="An Auto Scaling group, a balancer and ways out that outlive the zone they are in.",
    minutes=60,
    draws=(Draw("10.20.", tuple(f"10.{number}." for number in (20, 31, 47, 58, 66, 73, 89, 94))),),
    breaks=(
        Break(name="a group in one zone", step=1, edits=(Edit(BOTH, BOTH.replace(', "private-b"', ",")),)),
        Break(name="two subnets of one zone", step=1, edits=(Edit(PRIVATE_B, PRIVATE_B.replace("ZONE_B", "ZONE_A")),)),
        Break(name="dead, and called healthy", step=2, edits=(Edit(HEALTH, HEALTH.replace("ELB", "EC2")),)),
        Break(name="nobody may replace it", step=2, edits=(Edit(HEALTH, f'{HEALTH}\n            suspended_processes=("ReplaceUnhealthy",),'),)),
        Break(name="one way out for two zones", step=3, edits=(Edit(WAY_OUT_B, 'nat_gateway_id="nat-a"'),)),
        Break(
            name="one table for two zones",
            step=3,
            edits=(Edit(TABLE_A, TABLE_A.replace('("private-a",)', '("private-a", "private-b")')), Edit(TABLE_B, TABLE_B.replace('("private-b",)', "()"))),
        ),
    ),
    questions=(
        Question(name="address_left", step=1, text="Which address has shop.example.com for client once eu-west-1a has failed, and DNS has noticed? (testbed fail az eu-west-1a; testbed exec client -- dig +short shop.example.com; testbed heal)"),
        Question(name="bank_sees", step=3, text="Under which address does bank see instances of private-b?"),
    ),
)
