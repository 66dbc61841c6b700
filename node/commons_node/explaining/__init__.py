"""Explaining: verdicts and their causes in sentences that name people and days."""

from __future__ import annotations
