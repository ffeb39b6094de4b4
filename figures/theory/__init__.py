"""Figures of closed forms and simulations."""
