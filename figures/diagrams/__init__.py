"""Diagrams: ideas, nothing measured."""
