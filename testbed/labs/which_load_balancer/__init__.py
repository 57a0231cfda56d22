"""The lab "Which load balancer?"."""
