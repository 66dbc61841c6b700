"""Four looks: light, dark, high contrast, and none at all for terminals without colour.

``plain`` has the greys of a terminal; with ``NO_COLOR`` Textual takes the colour out of any of
them. Nothing on the screen needs colour to be understood.
"""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

DEFAULT: Final = "dark"

THEMES: Final = (
    Theme(
        name="dark",
        primary="#8fb996",
        secondary="#7aa2c8",
        accent="#e0b872",
        warning="#e0b872",
        error="#e08a7d",
        success="#8fb996",
        foreground="#dcdfd8",
        background="#1b1f1d",
        surface="#222724",
        panel="#2b312d",
        dark=True,
        variables={"block-cursor-background": "#8fb996", "block-cursor-foreground": "#16201a"},
    ),
    Theme(
        name="light",
        primary="#2f6b46",
        secondary="#2d5f8b",
        accent="#8a5a00",
        warning="#8a5a00",
        error="#a3301f",
        success="#2f6b46",
        foreground="#20261f",
        background="#f7f5ef",
        surface="#efece3",
        panel="#e4e0d4",
        dark=False,
        variables={"block-cursor-background": "#2f6b46", "block-cursor-foreground": "#ffffff"},
    ),
    Theme(
        name="contrast",
        primary="#ffff00",
        secondary="#00ffff",
        accent="#ffff00",
        warning="#ffff00",
        error="#ff9a9a",
        success="#7dff7d",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#000000",
        dark=True,
        text_alpha=1.0,
        variables={"block-cursor-background": "#ffff00", "block-cursor-foreground": "#000000"},
    ),
    Theme(
        name="plain",
        primary="#d0d0d0",
        secondary="#d0d0d0",
        accent="#ffffff",
        warning="#d0d0d0",
        error="#ffffff",
        success="#d0d0d0",
        foreground="#d0d0d0",
        background="#121212",
        surface="#1a1a1a",
        panel="#242424",
        dark=True,
        variables={"block-cursor-background": "#d0d0d0", "block-cursor-foreground": "#121212"},
    ),
)
NAMES: Final = tuple(theme.name for theme in THEMES)
