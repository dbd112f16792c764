"""Tri-level resiliency: commitment, crews, mobile generators and demand response, worst loads."""
