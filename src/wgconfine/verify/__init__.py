"""Observation becomes judgement."""
