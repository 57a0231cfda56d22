"""Auto Scaling groups and ECS services at work in a running lab: what is seen of their members, what follows from it, and the topology that is asked for next.

    signals (ARP, balancers' events, requests) ──▶ decide, target_tracking (pure) ──▶ controller ──▶ model.launching ──▶ a live change of the lab

Decision 0020.
"""
