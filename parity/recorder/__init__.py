"""Recorders of parity vectors: one module for each reference implementation."""
