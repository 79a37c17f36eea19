"""Views: values → text, Markdown, JSON for people and for tools.

Reads: values of the stages before.
Gives: strings.
Never: decides anything.
"""
