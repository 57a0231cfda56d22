"""An appliance behind a Gateway Load Balancer: looks into packets, drops what it was told to, sends the rest back."""
