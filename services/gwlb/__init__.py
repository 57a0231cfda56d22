"""Gateway Load Balancer: packets to appliances and back, in GENEVE."""
